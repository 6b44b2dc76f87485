// Finding and making elements of the page.

/** Return the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with properties, such as `className` and `textContent`. */
export function made(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
