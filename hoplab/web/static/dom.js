// SPDX-License-Identifier: Apache-2.0
// Elements from values. Text is text: nothing here can make markup of a string.

const SVG = "http://www.w3.org/2000/svg";

const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined);

export const put = (element, ...children) => element.replaceChildren(...present(children));

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

export const h = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

export const s = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

// Icons are shapes, since fonts need not have the signs.
const ICONS = {
  start: "M4 3h2v10H4zM14 3v10L7 8z",
  back: "M12 3v10L4 8z",
  play: "M4 2v12l10-6z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  forth: "M4 3v10l8-5z",
  end: "M10 3h2v10h-2zM2 3v10l7-5z",
};

export const icon = (name) =>
  s(
    "svg",
    { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" },
    s("path", { d: ICONS[name] }),
  );
