// All the numbers of an explanation, as tables: what the score is the sum of, and what met what.

import { bdi, el } from "./dom.js";
import { apportion, fineClock, part, visible } from "./format.js";
import { warmth } from "./strip.js";

/**
 * A disclosure with the sum of the score and a table for each term; it is built when it is first opened.
 *
 * @param account null where the model has none.
 * @param confidence of the hit; null where it is not known.
 */
export function allNumbers(account, confidence) {
  const details = el("details", { class: "numbers" }, el("summary", {}, "All the numbers"));
  if (confidence !== null) details.append(confidenceOf(confidence));
  if (account === null) return details;
  details.addEventListener(
    "toggle",
    () => {
      details.append(sumOf(account), ...notesOf(account), ...account.terms.map(tableOf));
    },
    { once: true },
  );
  return details;
}

function confidenceOf(confidence) {
  return el(
    "p",
    { class: "note confidence" },
    `Confidence ${part(Math.floor(confidence * 1e4) / 1e4)}: the share of unrelated questions whose best answer in this library `,
    "scores less. It is no probability that this is right.",
  );
}

/** What the score is the sum of: words as they are written, then what is no word; and how far it falls. */
function sumOf(account) {
  const falls = account.byFalls ? fallsOf(account) : null;
  const lines = linesOf(account);
  const shown = apportion(lines.map((line) => line.gave));
  const head = ["Word", "Part of score", ...(falls ? ["Falls without it by"] : [])];
  const row = (line, at) =>
    el(
      "tr",
      { data: { value: line.gave } },
      el("th", { scope: "row" }, line.word ? bdi(visible(line.name)) : line.name),
      el("td", { class: "gave" }, line.word && line.none ? "\u2013" : part(shown[at])),
      falls ? el("td", { class: "falls" }, line.word ? fallText(falls[at]) : "") : "",
    );
  const total = shown.reduce((sum, value) => sum + value, 0);
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "The sum of the score" },
    el(
      "table",
      { class: "sum" },
      el("caption", {}, "What the score is the sum of"),
      el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...lines.map(row)),
      el(
        "tfoot",
        {},
        account.terms.length ? el("tr", {}, el("th", { scope: "row" }, "Together"), el("td", { class: "total" }, part(total)), falls ? el("td") : "") : "",
        el("tr", {}, el("th", { scope: "row" }, "Score"), el("td", { class: "score" }, part(account.score)), falls ? el("td") : ""),
      ),
    ),
  );
}

function linesOf(account) {
  const words = account.words.map((word) => ({
    name: word.word,
    word: true,
    none: word.contribution === null,
    gave: word.contribution ?? 0,
  }));
  const others = new Map();
  for (const term of account.terms) {
    term.words.forEach((text, token) => {
      if ((term.word_of_token?.[token] ?? -1) >= 0) return;
      const name = term.word_of_token ? "Start, end and punctuation" : text === term.sentence ? "The sentence as a whole" : visible(text);
      others.set(name, (others.get(name) ?? 0) + term.contributions[token].reduce((sum, value) => sum + value, 0));
    });
  }
  return [...words, ...[...others].map(([name, gave]) => ({ name, word: false, none: false, gave }))];
}

function fallsOf(account) {
  return account.groups.filter((group) => group.kind === "falls").flatMap((group) => group.words.map((word) => word.gave));
}

function fallText(fall) {
  return fall === null ? "the only word" : part(fall);
}

function notesOf(account) {
  const untimed = account.terms.some((term) => !term.timed)
    ? [`Of the score ${part(account.untimed)} came from parts that have no time of their own.`]
    : [];
  const falls = account.byFalls
    ? ["Words are counted by leaving each out: what two words say together is counted in both, so that falls need not add up to the score."]
    : [];
  return [...untimed, ...falls, ...account.notes.map(visible)].map((note) => el("p", { class: "note" }, note));
}

function columnsOf(term) {
  if (term.timed) return term.frames.map((frame) => ({ head: fineClock(frame.time), tokens: frame.tokens }));
  return term.values[0].map((_, token) => ({ head: `part ${token + 1}`, tokens: [token] }));
}

function tableOf(term) {
  const columns = columnsOf(term);
  const rows = term.words.map((word, place) => {
    const values = columns.map((column) =>
      Math.max(...column.tokens.map((token) => term.values[place][token])),
    );
    const gave = columns.map((column) =>
      column.tokens.reduce((sum, token) => sum + term.contributions[place][token], 0),
    );
    const warm = warmth(values);
    const cells = columns.map((_, at) => {
      const cell = el(
        "td",
        { class: "cell" },
        el("span", {}, part(values[at], 2)),
        el("small", {}, part(gave[at])),
      );
      cell.style.setProperty("--warm", warm[at].toFixed(3));
      return cell;
    });
    const total = gave.reduce((sum, value) => sum + value, 0);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, bdi(visible(spoken(word)))),
      ...cells,
      el("td", { class: "total" }, part(total)),
    );
  });
  const table = el(
    "table",
    {},
    el("caption", {}, `${visible(term.name)}: similarity, and below it what it gave to the score`),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "Word"),
        ...columns.map((column) => el("th", { scope: "col" }, column.head)),
        el("th", { scope: "col" }, "Gave"),
      ),
    ),
    el("tbody", {}, ...rows),
  );
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Numbers of ${visible(term.name)}` },
    table,
  );
}

/** What a text token is called: the marks around a sentence by their names. */
function spoken(token) {
  return { "<|startoftext|>": "start", "<|endoftext|>": "end" }[token] ?? token;
}
