// Elements of the page, found and made.

/** Return the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with properties, such as `className` and `textContent`, and what is in it. */
export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Let something happen when an event reaches the element with an id. */
export function on(id, kind, act) {
  byId(id).addEventListener(kind, act);
}

/** Write a text into the element with an id. What stands there already is not read out again. */
export function put(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
