// Finding and making elements of the page.

/** Return the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with properties, such as `className` and `textContent`, and children. */
export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Listen for an event of the element with an id. */
export function on(id, kind, act) {
  byId(id).addEventListener(kind, act);
}

/** Set the text of the element with an id. Unchanged text is not announced again. */
export function put(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
