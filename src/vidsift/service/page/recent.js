// What was searched for lately, kept in this browser only.

const KEY = "vidsift.recent";
const KEPT = 8;

/** The latest questions, each a list of sentences; the newest first. */
export function recent() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept)
      ? kept.filter((one) => Array.isArray(one) && one.every((text) => typeof text === "string"))
      : [];
  } catch {
    return [];
  }
}

/** Keep a question. */
export function remember(queries) {
  const same = (one) => one.join("\n") === queries.join("\n");
  store([queries, ...recent().filter((one) => !same(one))].slice(0, KEPT));
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
