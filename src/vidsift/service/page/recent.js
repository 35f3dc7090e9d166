// What was searched for lately, kept in this browser only.

const KEY = "vidsift.recent";
const KEPT = 8;

/** The latest questions, each a list of sentences; the newest first. */
export function recent() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(stored)
      ? stored.filter((entry) => Array.isArray(entry) && entry.every((text) => typeof text === "string"))
      : [];
  } catch {
    return [];
  }
}

/** Keep a question. */
export function remember(queries) {
  const same = (other) => other.join("\n") === queries.join("\n");
  store([queries, ...recent().filter((other) => !same(other))].slice(0, KEPT));
}

/** Forget them all. */
export function forget() {
  store([]);
}

function store(questions) {
  try {
    localStorage.setItem(KEY, JSON.stringify(questions));
  } catch {
    // A browser that keeps nothing searches as well as any other.
  }
}
