// A question as the page sets it, and as the index keeps it under a name: the one from the other and back.

import * as address from "./address.js";
import { filterOf } from "./filters.js";
import { plain } from "./results.js";

const MOST_DAYS = 36_500;

/** What is saved of a state that asks for sentences. */
export function savedOf(state) {
  // Days of one's own stand in the place of an age.
  const days = state.from || state.to ? null : /^(\d{1,5})d$/.exec(state.since);
  return {
    query: plain(state.queries),
    verbatim: Boolean(state.verbatim),
    group_by: state.by,
    // "Past week" stays a week before the day on which it is asked.
    filter: filterOf({ ...state, since: "" }) ?? {},
    within_days: days ? Math.min(MOST_DAYS, Math.max(1, Number(days[1]))) : null,
    sort: state.sort || "match",
    min_match: state.sure === "good" ? "good match" : null,
    min_score: state.least ? Number(state.least) : null,
    min_confidence: state.sure && state.sure !== "good" ? Number(state.sure) : null,
  };
}

/** The state that asks a saved question. */
export function stateOf(question) {
  const { filter } = question;
  const text = (value) => (value === null || value === undefined ? "" : String(value));
  return {
    ...address.EMPTY,
    queries: [question.query].flat(),
    verbatim: question.verbatim ? "1" : "",
    by: question.group_by,
    sort: question.sort === "match" ? "" : question.sort,
    under: text(filter.under),
    file: text(filter.name),
    longer: text(filter.min_duration),
    shorter: text(filter.max_duration),
    since: question.within_days ? `${question.within_days}d` : "",
    from: dayOf(filter.modified_after),
    to: dayOf(filter.modified_before, 1),
    tags: filter.tags ?? [],
    sure: question.min_match === "good match" ? "good" : text(question.min_confidence),
    least: text(question.min_score),
  };
}

/** The day of a moment, where the person is; of one that is left out, the day that it ends. */
function dayOf(moment, before = 0) {
  if (!moment) return "";
  const date = new Date(Date.parse(moment) - before);
  const two = (value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
