// Which videos a search looks at, and how it answers: with moments or with videos, in which order.

import * as address from "./address.js";
import { el } from "./dom.js";
import { field, leaveOut, makeNameFacet, picked, select, slot, together } from "./facets.js";
import { visible } from "./format.js";

const LENGTHS = [
  ["Any length", "", ""],
  ["Under 1 minute", "", "60"],
  ["1 to 10 minutes", "60", "600"],
  ["10 to 60 minutes", "600", "3600"],
  ["Over 1 hour", "3600", ""],
];
const AGES = [
  ["Any date", ""],
  ["Past 24 hours", "1d"],
  ["Past week", "7d"],
  ["Past month", "30d"],
  ["Past year", "365d"],
];
const CHOOSE = "choose";
const DAYS = { min: "1970-01-01", max: "9999-12-31" };

/** The filter part of a search's body; undefined where nothing is filtered. */
export function filterOf(state) {
  const filter = {
    under: state.under || undefined,
    name: state.file || undefined,
    min_duration: state.longer ? Number(state.longer) : undefined,
    max_duration: state.shorter ? Number(state.shorter) : undefined,
    // Days of one's own stand in the place of an age.
    modified_after: state.from ? midnight(state.from) : state.to ? undefined : ago(state.since),
    modified_before: state.to ? midnight(state.to, 1) : undefined,
    tags: state.tags.length ? state.tags : undefined,
  };
  return Object.values(filter).some((value) => value !== undefined) ? filter : undefined;
}

function ago(since) {
  const days = /^(\d{1,5})d$/.exec(since);
  return days ? new Date(Date.now() - Number(days[1]) * 86_400_000).toISOString() : undefined;
}

/** The beginning of a day, or of one that comes after it, where the person is. */
function midnight(day, later = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

/** The state without filters. */
export function unfiltered(state) {
  const none = { under: "", file: "", longer: "", shorter: "", since: "", from: "", to: "", tags: [] };
  return { ...state, ...none, sure: "", least: "" };
}

/** How many filters are set. */
export function filterCount(state) {
  const { under, file, longer, shorter, since, from, to, tags, sure, least } = state;
  return [under, file, longer || shorter, since || from || to, tags.length, sure, least].filter(Boolean).length;
}

/** Folder names as short as they stay different from each other. */
function shortNames(paths) {
  const parts = paths.map((path) => path.split(/[\\/]/).filter(Boolean));
  return parts.map((folders, place) => {
    for (let depth = 1; depth < folders.length; depth += 1) {
      const name = folders.slice(-depth).join("/");
      if (!parts.some((other, at) => at !== place && other.slice(-depth).join("/") === name)) return name;
    }
    return paths[place];
  });
}

function set(parts) {
  address.go({ ...address.now(), view: "search", video: "", segment: "", at: "", ...parts });
}

/**
 * Build the row of filters.
 *
 * `learn({folders, tags, scored})` tells it what there is to choose from, and of each hit that is shown whether
 * it has a score and nothing that says how sure it is.
 */
export function makeFilters() {
  let folders = [];
  let tags = [];
  let unsure = false;

  const grouping = slot("by", { key: (state) => state.by, draw: drawGrouping });
  const sorting = slot("sort", {
    key: (state) => state.sort,
    isSet: (state) => state.sort,
    draw: (state) =>
      select("Order", [["Best match", ""], ["Newest first", "date"], ["By name", "name"]], state.sort, (sort) =>
        set({ sort }),
      ),
  });
  const folder = slot("folder", {
    key: (state) => [state.under, folders],
    isSet: (state) => state.under,
    draw(state) {
      const names = shortNames(folders);
      const options = [["All folders", ""], ...folders.map((path, place) => [names[place], path])];
      return select("Folder", options, state.under, (under) => set({ under }));
    },
  });
  const named = makeNameFacet(set);
  const length = makeLength();
  const date = makeDate();
  const tagging = slot("tag", {
    key: (state) => [state.tags, tags],
    isSet: (state) => state.tags.length,
    draw: drawTags,
  });
  const limiting = slot("limit", {
    key: (state) => [state.sure, state.least, unsure],
    isSet: (state) => state.sure || state.least,
    draw: drawLimits,
  });
  const clearing = slot("clear", {
    key: filterCount,
    isSet: filterCount,
    draw: (state) =>
      filterCount(state)
        ? el("button", { type: "button", class: "text", on: { click: clear } }, "Clear filters")
        : "",
  });
  const parts = [grouping, sorting, folder, named, length, date, tagging, limiting, clearing];
  // On a phone what is not set waits behind this button.
  const all = el("button", { type: "button", class: "plain all-filters", "aria-expanded": "false" }, "Filters");
  const node = el(
    "div",
    { class: "filters", role: "group", "aria-label": "Filters" },
    grouping.node,
    all,
    ...parts.slice(1).map((part) => part.node),
  );
  all.addEventListener("click", () => {
    all.setAttribute("aria-expanded", String(node.classList.toggle("unfolded")));
  });

  function clear() {
    length.close();
    date.close();
    address.go(unfiltered(address.now()));
    // The button is gone with what it took back.
    node.querySelector("select").focus();
  }

  function show(state) {
    for (const part of parts) part.show(state);
  }

  function drawGrouping(state) {
    const radio = (value, words, title) => {
      const input = el("input", { type: "radio", name: "by", value, on: { change: () => set({ by: value }) } });
      input.checked = state.by === value;
      return el("label", { title }, input, el("span", {}, words));
    };
    return el(
      "fieldset",
      { class: "switch" },
      el("legend", { class: "hidden" }, "Answer with"),
      radio("segment", "Moments", "Every moment that fits, also several of one video"),
      radio("video", "Videos", "Each video once, with its best moment and the others under it"),
    );
  }

  /** Tags that are asked for, all of them, and one more to choose. */
  function drawTags(state) {
    const left = tags.filter((tag) => !state.tags.includes(tag));
    const chosen = state.tags.map((tag) =>
      picked(visible(tag), `Tag ${visible(tag)}`, "Leave this tag out", () =>
        set({ tags: address.now().tags.filter((other) => other !== tag) }),
      ),
    );
    const first = [state.tags.length ? "Also with tag" : "Any tag", ""];
    const more = select("Tag", [first, ...left.map((tag) => [tag, tag])], "", (tag) =>
      set({ tags: [...address.now().tags, tag] }),
    );
    return [...chosen, left.length ? more : ""];
  }

  /** How good a match has to be, in what the cards show: a good one, or its score where that is all. */
  function drawLimits(state) {
    const score = el("input", {
      type: "number",
      step: "any",
      placeholder: "any",
      "aria-label": "Score at least",
      title: "A score is on the model's own scale, as the cards show it: it is no percentage",
      value: state.least,
      on: { change: () => set({ least: score.value }) },
    });
    const typed = el(
      "span",
      { class: state.least ? "limit set" : "limit" },
      el("span", { "aria-hidden": "true" }, "Score at least"),
      score,
    );
    // A limit of an address from before there were words: it counts, and can be taken back.
    const older = `Confidence at least ${state.sure}`;
    const why = "The share of unrelated questions that score less. Leave this limit out";
    return [
      !unsure || state.sure === "good" ? goodOnly(state) : "",
      state.sure && state.sure !== "good" ? picked(older, older, why, () => set({ sure: "" })) : "",
      unsure || state.least ? typed : "",
    ];
  }

  function goodOnly(state) {
    const box = el("input", { type: "checkbox", on: { change: () => set({ sure: box.checked ? "good" : "" }) } });
    box.checked = state.sure === "good";
    box.setAttribute("aria-label", "Good matches only");
    const title = unsure ? "How good a match is, is not known for this question" : "Leave out what may not be it";
    return el("label", { class: box.checked ? "only set" : "only", title }, box, "Good matches only");
  }

  return {
    node,
    show,
    learn(known) {
      folders = known.folders ?? folders;
      tags = known.tags ?? tags;
      if (known.scored?.length) unsure = known.scored.every(Boolean);
      show(address.now());
    },
  };
}

/** From when to when files were last changed: a choice, or two days. */
function makeDate() {
  let open = false;
  const isOpen = (state) => open || Boolean(state.from || state.to);
  const props = { type: "date", ...DAYS, title: "When the file was last changed" };
  const from = field("First day", props, (day) => set({ from: day, since: "" }));
  const to = field("Last day", props, (day) => set({ to: day, since: "" }));
  const part = slot("date", {
    key: (state) => (isOpen(state) ? "open" : state.since),
    isSet: (state) => isOpen(state) || state.since,
    draw(state) {
      if (!isOpen(state)) {
        return select("Date", [...AGES, ["Choose days \u2026", CHOOSE]], state.since, (since) => {
          if (since !== CHOOSE) return set({ since });
          open = true;
          // Empty days let everything through; so must what is searched.
          set({ since: "" });
          part.show(address.now());
          return from.node.focus();
        });
      }
      return between("From", from, "to", to, "Days", () => {
        open = false;
        set({ from: "", to: "", since: "" });
        part.show(address.now());
      });
    },
  });
  const whole = together(part, (state) => {
    from.show(state.from);
    to.show(state.to);
  });
  return { ...whole, close: () => (open = false) };
}

/** How long videos are: a choice, or from so many minutes to so many. */
function makeLength() {
  let open = false;
  const isKnown = ({ longer, shorter }) => LENGTHS.some(([, least, most]) => least === longer && most === shorter);
  const isOpen = (state) => open || !isKnown(state);
  const props = { type: "number", min: 0, step: "any", placeholder: "any" };
  const least = field("Minutes at least", props, (minutes) => set({ longer: seconds(minutes) }));
  const most = field("Minutes at most", props, (minutes) => set({ shorter: seconds(minutes) }));
  const part = slot("length", {
    key: (state) => (isOpen(state) ? "open" : [state.longer, state.shorter]),
    isSet: (state) => isOpen(state) || state.longer || state.shorter,
    draw(state) {
      if (!isOpen(state)) {
        const options = LENGTHS.map(([words, longer, shorter]) => [words, pair(longer, shorter)]);
        return select("Length", [...options, ["Choose \u2026", CHOOSE]], pair(state.longer, state.shorter), (chosen) => {
          if (chosen === CHOOSE) {
            open = true;
            part.show(address.now());
            return least.node.focus();
          }
          const [longer = "", shorter = ""] = chosen.split("-");
          return set({ longer, shorter });
        });
      }
      return between("Minutes", least, "to", most, "Length", () => {
        open = false;
        set({ longer: "", shorter: "" });
        part.show(address.now());
      });
    },
  });
  const whole = together(part, (state) => {
    least.show(inMinutes(state.longer));
    most.show(inMinutes(state.shorter));
  });
  return { ...whole, close: () => (open = false) };
}

function pair(longer, shorter) {
  return longer || shorter ? `${longer}-${shorter}` : "";
}

function inMinutes(text) {
  return text ? String(Math.round((Number(text) / 60) * 1000) / 1000) : "";
}

function seconds(minutes) {
  return minutes ? String(Math.round(Number(minutes) * 60_000) / 1000) : "";
}

function between(first, least, second, most, label, click) {
  return el(
    "span",
    { class: "limit set" },
    el("span", { "aria-hidden": "true" }, first),
    least.node,
    el("span", { "aria-hidden": "true" }, second),
    most.node,
    leaveOut(label, click),
  );
}
