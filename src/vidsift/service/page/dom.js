// Elements built from data. Text enters as text nodes only: no name or caption can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [type, handler] of Object.entries(value)) node.addEventListener(type, handler);
    } else if (name === "data") {
      for (const [key, data] of Object.entries(value)) node.dataset[key] = String(data);
    } else if (name === "style" || name.startsWith("on")) {
      throw new TypeError(`${name}: styles are classes or CSSOM properties, handlers go below 'on'`);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element; children are nodes or strings, empty ones are left out. */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** A handler for a link's click that goes on within the page; with a modifier key the browser opens the link itself. */
export function plainClick(act) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button > 0) return;
    event.preventDefault();
    act(event);
  };
}

/** Have a pointer and the keyboard alike come to an element and leave it. */
export function onPointing(node, enter, leave) {
  for (const [type, act] of [["pointerenter", enter], ["focus", enter], ["pointerleave", leave], ["blur", leave]])
    node.addEventListener(type, () => act());
}

/** An SVG element. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** Outlines of the icons, on a grid of 20. */
const OUTLINES = {
  search: "M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM13 13l4 4",
  picture: "M3.5 4.5h13v11h-13zM3.5 13l3.6-3.6 3 3 2.2-2.2 4.2 4.2M12.6 7.6h.01",
  close: "M5 5l10 10M15 5 5 15",
  similar: "M3.5 6.5h9v9h-9zM7.5 6V3.5h9v9H13",
  scissors:
    "M5.5 3.8a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM5.5 12.2a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM7.2 6.9 16.5 15M7.2 13.1 16.5 5",
  next: "M7.5 4.5 13 10l-5.5 5.5",
  previous: "M12.5 4.5 7 10l5.5 5.5",
  sun:
    "M10 6.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8ZM10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18" +
    "M4.3 4.3l1.2 1.2M14.5 14.5l1.2 1.2M15.7 4.3l-1.2 1.2M5.5 14.5l-1.2 1.2",
  moon: "M16.5 11.8A6.8 6.8 0 0 1 8.2 3.5a6.8 6.8 0 1 0 8.3 8.3Z",
  sound: "M3.5 8v4H6l4 3V5L6 8H3.5ZM13 7.5a3.6 3.6 0 0 1 0 5M15 5.2a6.8 6.8 0 0 1 0 9.6",
  silent: "M3.5 8v4H6l4 3V5L6 8H3.5ZM13 8l4 4M17 8l-4 4",
  full: "M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4",
  plus: "M10 4v12M4 10h12",
  keys: "M2.5 5.5h15v9h-15zM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6.5 11.5h7",
  collection: "M5 3.5h10v13l-5-3.6-5 3.6ZM10 6v4.6M7.7 8.3h4.6",
  folder: "M2.5 5h5l1.6 2h8.4v8.5h-15z",
  again: "M15.6 8A6 6 0 1 0 16 11.5M16 4v4h-4",
};
const SOLID = {
  play: "M6 3.8v12.4L16 10z",
  pause: "M5.5 4h3.2v12H5.5zM11.3 4h3.2v12h-3.2z",
};

/** A decorative icon: whatever it stands on carries the words. */
export function icon(name) {
  const solid = SOLID[name];
  const path = svg("path", { d: solid ?? OUTLINES[name], class: solid ? "solid" : "line" });
  return svg("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true", focusable: "false" }, path);
}

/** A button that shows an icon and tells its words to those who do not see it. */
export function iconButton(name, words, click, props = {}) {
  return el(
    "button",
    { type: "button", class: "quiet", "aria-label": words, title: words, ...props, on: { click } },
    icon(name),
  );
}

/** Exchange an icon button's icon and words. */
export function relabel(button, name, words) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", words);
  button.title = words;
}

/** Text of unknown origin and script, kept apart from what stands around it. */
export function bdi(text, props = {}) {
  return el("bdi", { dir: "auto", ...props }, text);
}

let pending = 0;

/** Tell a screen reader what just happened; the last word of quick successions counts. */
export function say(words) {
  const liveRegion = document.getElementById("said");
  window.clearTimeout(pending);
  pending = window.setTimeout(() => {
    liveRegion.textContent = words;
  }, 60);
}

/** Whether keys typed there are text. */
export function takesText(node) {
  return (
    node instanceof HTMLElement &&
    (node.isContentEditable ||
      node.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=file])"))
  );
}

/** Whether pictures should stay still. */
export function wantsStillness() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
