// What stands where results would: nothing asked, nothing there, nothing found, something wrong.

import { aboutModel } from "./aboutModel.js";
import { bdi, el, say } from "./dom.js";
import { href } from "./address.js";
import { visible } from "./format.js";
import { forget, recent } from "./recent.js";
import { questionLink } from "./suggestions.js";
import { follow } from "./top.js";

/** A message with a heading and ways on. */
export function message({ title, lines = [], actions = [], kind = "" }) {
  return el(
    "section",
    { class: `message ${kind}`, role: kind === "trouble" ? "alert" : null },
    el("h2", {}, title),
    ...lines.map((line) => (typeof line === "string" ? el("p", {}, line) : line)),
    actions.length ? el("div", { class: "message-actions" }, ...actions) : "",
  );
}

/** A button with words. */
export function action(words, click, props = {}) {
  return el("button", { type: "button", class: "plain", ...props, on: { click } }, words);
}

/** Something went wrong, and how to go on. */
export function trouble(error, retry, about = "") {
  const title = about || error.title || "Something went wrong on this page";
  const detail = error.detail || (about && error.title) || error.message;
  return message({
    kind: "trouble",
    title,
    lines: detail && detail !== title ? [el("p", { class: "detail" }, visible(detail))] : [],
    actions: retry ? [action("Try again", retry)] : [],
  });
}

/** The sentence in quotation marks, its direction kept to itself. */
export function quoted(queries) {
  return queries.flatMap((query, place) => [place ? " then " : "", "\u201c", bdi(visible(query)), "\u201d"]);
}

/** The sentences that an answer is to. */
export function searched(state, answer) {
  return answer.searched_for ? [answer.searched_for].flat() : state.queries;
}

/** What was searched for where that is not what was written, with the way to the other; else nothing. */
export function searchedFor(state, answer) {
  if (!state.verbatim && !answer.searched_for) return [];
  const other = { ...state, verbatim: state.verbatim ? "" : "1", video: "", segment: "", at: "" };
  const words = state.verbatim ? "Search as usual" : "Search exactly as written";
  return [
    ...(state.verbatim ? ["Searched exactly as written"] : ["Searched for ", ...quoted(searched(state, answer))]),
    " \u00b7 ",
    el("a", { href: href(other), on: { click: follow } }, words),
  ];
}

/** Nothing in the library fits. */
export function nothingFits(state) {
  const what = state.queries.length ? quoted(state.queries) : ["this footage"];
  return el(
    "section",
    { class: "message nothing" },
    el("h2", {}, "Nothing in the library fits ", ...what, " well"),
    el(
      "p",
      {},
      "What comes closest is folded away below; it is probably not what you mean. Plain words for what can be seen work best.",
    ),
    aboutModel(),
  );
}

/** The service has not answered for so many seconds; it is waited for until `stop()`. */
export function noAnswerYet(seconds, stop) {
  const title = `No answer for ${seconds} seconds`;
  say(title);
  return message({
    title,
    lines: ["vidsift may be busy reading videos, or its model is still starting. The answer comes up here once it is there."],
    actions: [action("Cancel the search", stop)],
  });
}

/** A person waits for the answer no more. */
export function cancelled(again) {
  say("Search cancelled");
  return message({ title: "Search cancelled", actions: [action("Search again", again)] });
}

/** There are possible matches, and no good one. */
export function nothingStandsOut() {
  return el("p", { class: "note none-good" }, "Nothing stands out. These may be what you mean; say more of what can be seen to tell them apart.");
}

/** No video passes the filters, or there was no answer at all. */
export function noHits(state, filtered, clear) {
  return message({
    title: filtered ? "No video passes these filters" : "No results",
    lines: [filtered ? "Nothing was compared with your words." : "The library gave no answer to this."],
    actions: filtered ? [action("Clear filters", clear)] : [],
  });
}

/** What there is, is a weaker match than what was asked for. */
export function noneSure(good, clear) {
  return message({
    title: good ? "No good match" : "No match reaches your limit",
    lines: ["What comes closest fits less well than what you asked for."],
    actions: [action("Show every match", clear)],
  });
}

/**
 * The start page of a library that holds something; `suggested` are questions to begin with, "" for none, `saved`
 * what people saved.
 */
export function home(videos, suggested, saved) {
  const questions = recent();
  const lately = questions.length
    ? el(
        "section",
        { class: "lately" },
        el("h2", {}, "Lately asked"),
        el("ul", { class: "questions" }, ...questions.map((queries) => el("li", {}, questionLink(queries)))),
        action(
          "Forget these",
          (event) => {
            forget();
            event.currentTarget.closest("section").remove();
          },
          { class: "text" },
        ),
      )
    : "";
  return el("div", { class: "home" }, tips(), suggested, lately, ...saved, videos);
}

function tips() {
  const hint = (example, words) => el("li", {}, el("code", {}, example), el("span", {}, words));
  return el(
    "section",
    { class: "tips" },
    el("h2", {}, "Describe what can be seen"),
    el(
      "ul",
      {},
      hint("who or what does what, where", "a plain sentence works best"),
      hint("one thing + another - a third", "adds and takes away; spaces around the signs"),
      hint("+ then", "sentences that must come one after the other"),
      hint("drop a picture here", "finds footage that looks like it"),
    ),
    aboutModel(),
  );
}
