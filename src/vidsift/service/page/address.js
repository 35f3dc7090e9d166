// What the page shows is what its address says: query, filters, view and the open video.

const SORTS = ["date", "name"];
const VIEWS = ["library", "saved"];

/** A number as it was written, where it is one between two others; else nothing. */
function limit(text, lowest = -1e6, highest = 1e6) {
  const value = Number(text);
  return text.trim() && value >= lowest && value <= highest ? text : "";
}

/** A day as 2026-05-17, where it is one; else nothing. */
function day(text) {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : "";
}

/** The state that an address holds; absent parts are empty. */
export function read(search = location.search) {
  const params = new URLSearchParams(search);
  const text = (name) => params.get(name) ?? "";
  return {
    view: VIEWS.includes(text("view")) ? text("view") : "search",
    collection: text("collection"),
    queries: params
      .getAll("q")
      .map((query) => query.trim())
      .filter(Boolean),
    like: text("like"),
    upload: text("upload"),
    kind: text("kind") === "image" ? "image" : "video",
    name: text("name"),
    verbatim: text("verbatim") === "1" ? "1" : "",
    by: text("by") === "video" ? "video" : "segment",
    sort: SORTS.includes(text("sort")) ? text("sort") : "",
    under: text("under"),
    file: text("file"),
    longer: limit(text("longer"), 0, 1e9),
    shorter: limit(text("shorter"), 0, 1e9),
    since: text("since"),
    from: day(text("from")),
    to: day(text("to")),
    tags: params.getAll("tag"),
    // "good", or in addresses from before there were words a least confidence.
    sure: text("sure") === "good" ? "good" : limit(text("sure"), 0, 1),
    least: limit(text("least")),
    video: text("video"),
    segment: text("segment"),
    at: text("t"),
    // Where a moment ends that a person put into a collection.
    until: limit(text("until"), 0, 1e9),
  };
}

const NAMES = { queries: "q", tags: "tag", at: "t" };
const DEFAULTS = { view: "search", by: "segment" };

/** The address of a state. */
export function href(state) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "kind" && !state.upload) continue;
    const name = NAMES[key] ?? key;
    if (Array.isArray(value)) value.forEach((each) => params.append(name, each));
    else if (value && value !== DEFAULTS[key]) params.set(name, value);
  }
  const text = params.toString();
  return text ? `/?${text}` : "/";
}

/** Nothing asked, nothing open. */
export const EMPTY = read("");

/** The parts that decide which hits there are. */
export function question(state) {
  const { video, segment, at, until, view, collection, ...rest } = state;
  return rest;
}

/** Whether two states ask the same. */
export function asksTheSame(a, b) {
  return JSON.stringify(question(a)) === JSON.stringify(question(b));
}

/** Whether a state asks anything at all. */
export function asks(state) {
  return state.queries.length > 0 || state.like !== "" || state.upload !== "";
}

/** The state without what is being asked; filters stay. */
export function unasked(state) {
  const closed = { video: "", segment: "", at: "", until: "", collection: "" };
  return { ...state, queries: [], like: "", upload: "", name: "", verbatim: "", ...closed };
}

const listeners = new Set();
let current = read();

/** The state that is shown. */
export function now() {
  return current;
}

/** Call `listener(state, before, again)` whenever the address changed; `again` asks the same question anew. */
export function onChange(listener) {
  listeners.add(listener);
}

function arrive(state, again = false) {
  const before = current;
  current = state;
  for (const listener of listeners) listener(state, before, again);
}

/** Go to a state: a new entry in the history, unless it is where we are. */
export function go(state, { replace = false, inside = false, again = false } = {}) {
  const target = href(state);
  const same = target === location.pathname + location.search;
  const method = replace || same ? "replaceState" : "pushState";
  history[method]({ inside }, "", target);
  arrive(read(), again);
}

/** Change the address without a word to anyone: for what follows the picture, like the second. */
export function note(state) {
  history.replaceState(history.state, "", href(state));
  current = read();
}

/** Close the open video: back to where it was opened, or, for a link from outside, to its results. */
export function closeVideo() {
  if (history.state?.inside) history.back();
  else go({ ...current, video: "", segment: "", at: "", until: "" }, { replace: true });
}

window.addEventListener("popstate", () => arrive(read()));
