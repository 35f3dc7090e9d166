// Which videos a search looks at, and whether it answers with moments or with videos.

import { bdi, el, icon } from "./dom.js";
import * as address from "./address.js";
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

/** The filter part of a search's body; undefined where nothing is filtered. */
export function filterOf(state) {
  const days = /^(\d{1,5})d$/.exec(state.since);
  const filter = {
    under: state.under || undefined,
    min_duration: state.longer ? Number(state.longer) : undefined,
    max_duration: state.shorter ? Number(state.shorter) : undefined,
    modified_after: days ? new Date(Date.now() - Number(days[1]) * 86_400_000).toISOString() : undefined,
    tags: state.tags.length ? state.tags : undefined,
  };
  return Object.values(filter).some((value) => value !== undefined) ? filter : undefined;
}

/** The state without filters. */
export function unfiltered(state) {
  return { ...state, under: "", longer: "", shorter: "", since: "", tags: [], sure: "", least: "" };
}

/** How many filters are set. */
export function filterCount(state) {
  const { under, longer, shorter, since, tags, sure, least } = state;
  return [under, longer || shorter, since, tags.length, sure, least].filter(Boolean).length;
}

function choice(label, options, value, change) {
  const select = el("select", { "aria-label": label, on: { change: () => change(select.value) } });
  const known = options.some(([, choice]) => choice === value) ? options : [...options, [value, value]];
  select.append(...known.map(([words, choice]) => el("option", { value: choice, dir: "auto" }, visible(words))));
  select.value = value;
  return el("span", { class: value ? "choice set" : "choice" }, select, icon("next"));
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

/**
 * Build the row of filters.
 *
 * `learn({folders, tags, scored})` tells it what there is to choose from, and of each hit that is shown whether
 * it has a score and nothing that says how sure it is.
 */
export function makeFilters() {
  const node = el("div", { class: "filters", role: "group", "aria-label": "Filters" });
  let folders = [];
  let tags = [];
  let unsure = false;

  function set(parts) {
    address.go({ ...address.now(), view: "search", video: "", segment: "", at: "", ...parts });
  }

  function grouping(state) {
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
      radio("video", "Videos", "Each video once, with its best moment"),
    );
  }

  /** Tags that are asked for, all of them, and one more to choose. */
  function tagging(state) {
    const left = tags.filter((tag) => !state.tags.includes(tag));
    const picked = state.tags.map((tag) =>
      el(
        "button",
        {
          type: "button",
          class: "picked",
          "aria-label": `Tag ${visible(tag)}: leave it out`,
          title: "Leave this tag out",
          on: { click: () => set({ tags: address.now().tags.filter((other) => other !== tag) }) },
        },
        bdi(visible(tag)),
        icon("close"),
      ),
    );
    const first = [state.tags.length ? "Also with tag" : "Any tag", ""];
    const more = choice("Tag", [first, ...left.map((tag) => [tag, tag])], "", (tag) =>
      set({ tags: [...address.now().tags, tag] }),
    );
    return [...picked, left.length ? more : ""];
  }

  /** How good a match has to be, in what the cards show: a good one, or its score where that is all. */
  function limiting(state) {
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
    const older = state.sure && state.sure !== "good" ? leastConfidence(state.sure) : "";
    return [!unsure || state.sure === "good" ? goodOnly(state) : "", older, unsure || state.least ? typed : ""];
  }

  function goodOnly(state) {
    const box = el("input", { type: "checkbox", on: { change: () => set({ sure: box.checked ? "good" : "" }) } });
    box.checked = state.sure === "good";
    box.setAttribute("aria-label", "Good matches only");
    const title = unsure ? "How good a match is, is not known for this question" : "Leave out what may not be it";
    return el("label", { class: box.checked ? "only set" : "only", title }, box, "Good matches only");
  }

  /** A limit of an address from before there were words: it counts, and can be taken back. */
  function leastConfidence(share) {
    return el(
      "button",
      {
        type: "button",
        class: "picked",
        "aria-label": `Confidence at least ${share}: leave it out`,
        title: "The share of unrelated questions that score less. Leave this limit out",
        on: { click: () => set({ sure: "" }) },
      },
      `Confidence at least ${share}`,
      icon("close"),
    );
  }

  let drawn = "";

  function show(state) {
    const wanted = JSON.stringify([state, folders, tags, unsure]);
    // An answer that changes nothing here must not take away what a person is typing.
    if (wanted === drawn) return;
    drawn = wanted;
    const focused = document.activeElement?.getAttribute?.("aria-label");
    const inside = node.contains(document.activeElement);
    const wasRadio = inside && document.activeElement.matches("input[type=radio]");
    const names = shortNames(folders);
    const length = `${state.longer}-${state.shorter}`;
    node.replaceChildren(
      grouping(state),
      choice(
        "Folder",
        [["All folders", ""], ...folders.map((path, i) => [names[i], path])],
        state.under,
        (under) => set({ under }),
      ),
      choice(
        "Length",
        LENGTHS.map(([words, longer, shorter]) => [words, longer || shorter ? `${longer}-${shorter}` : ""]),
        length === "-" ? "" : length,
        (value) => {
          const [longer = "", shorter = ""] = value.split("-");
          set({ longer, shorter });
        },
      ),
      choice("Date", AGES, state.since, (since) => set({ since })),
      ...tagging(state),
      ...limiting(state),
      filterCount(state)
        ? el(
            "button",
            { type: "button", class: "text", on: { click: () => address.go(unfiltered(address.now())) } },
            "Clear filters",
          )
        : "",
    );
    if (wasRadio) node.querySelector("input:checked")?.focus();
    else if (inside && focused) {
      // A tag that was left out is among those to choose from again.
      const same = node.querySelector(`[aria-label="${CSS.escape(focused)}"]`);
      (same ?? node.querySelector("[aria-label=Tag]"))?.focus();
    }
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
