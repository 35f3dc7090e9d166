// The head of the page: name, search form, ways to the other view and the other colours.

import { bdi, el, icon, iconButton, plainClick, relabel, say } from "./dom.js";
import * as address from "./address.js";
import * as api from "./api.js";
import { visible } from "./format.js";
import { remember } from "./recent.js";
import { drawPicture, keepPicture } from "./queryPicture.js";

const MOST_SENTENCES = 5;
const ACCEPTED = "image/*,video/*,.mkv,.mov,.avi,.webm,.ts";

/** Build the head into `node`; returns {focus, showHelp} for the keyboard. */
export function makeTop(node, { help }) {
  const form = makeForm();
  const theme = iconButton("moon", "Dark colours", switchTheme);
  const ways = [["library", "Library"], ["saved", "Saved"]].map(([view, words]) =>
    el("a", { class: "nav", href: `/?view=${view}`, data: { view } }, words),
  );
  const home = el("a", { class: "mark", href: "/", "aria-label": "vidsift, start page" }, ...mark());
  for (const link of [home, ...ways]) link.addEventListener("click", follow);

  function switchTheme() {
    const dark = !isDark();
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    try {
      localStorage.setItem("vidsift.theme", dark ? "dark" : "light");
    } catch {
      // The choice then holds until the page is closed.
    }
    showTheme();
  }
  function showTheme() {
    if (isDark()) relabel(theme, "sun", "Light colours");
    else relabel(theme, "moon", "Dark colours");
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  showTheme();

  node.replaceChildren(
    home,
    form.node,
    el(
      "nav",
      { class: "ways", "aria-label": "Views" },
      ...ways,
      iconButton("keys", "Keyboard shortcuts", help, { class: "quiet wide-only" }),
      theme,
    ),
  );
  address.onChange((state) => show(state));
  function show(state) {
    form.show(state);
    for (const link of ways) {
      if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
  show(address.now());
  return { focus: form.focus };
}

/** Follow a link within the page, unless the person asked for a new tab or window. */
export const follow = plainClick((event) => address.go(address.read(new URL(event.currentTarget.href).search)));

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
}

function mark() {
  const bars = [0.45, 0.7, 1, 0.55].map((height) => {
    const bar = el("span", { class: height === 1 ? "bar hot" : "bar" });
    bar.style.setProperty("height", `${height * 100}%`);
    return bar;
  });
  return [
    el("span", { class: "bars", "aria-hidden": "true" }, ...bars),
    el("span", { class: "word" }, "vidsift"),
  ];
}

function makeForm() {
  const first = el("input", {
    class: "query",
    type: "search",
    name: "q",
    id: "query",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "true",
    enterkeyhint: "search",
    maxlength: 2000,
    placeholder: "What should the video show?",
    "aria-label": "What should the video show?",
  });
  const pill = el("div", { class: "pill-place" });
  const later = el("div", { class: "later" });
  const file = el("input", {
    type: "file",
    class: "hidden-file",
    accept: ACCEPTED,
    tabindex: -1,
    "aria-hidden": "true",
  });
  const picture = iconButton("picture", "Search with a picture or a video", () => file.click());
  const then = el(
    "button",
    {
      type: "button",
      class: "quiet then",
      title: "Add a sentence that must come later in the same video",
      on: { click: () => addLater("", true) },
    },
    icon("plus"),
    el("span", {}, "then"),
  );
  const submit = el("button", { type: "submit", class: "primary", "aria-label": "Search" }, icon("search"));
  const box = el("div", { class: "box" }, icon("search"), pill, first, then, picture, file, submit);
  const node = el("form", { role: "search", class: "form", on: { submit: ask } }, box, later);

  function addLater(text, focus) {
    if (later.children.length >= MOST_SENTENCES - 1) return;
    const place = later.children.length + 2;
    const input = el("input", {
      class: "query",
      type: "text",
      autocomplete: "off",
      maxlength: 2000,
      placeholder: "and later in the same video \u2026",
      "aria-label": `Sentence ${place}: what comes later`,
      enterkeyhint: "search",
    });
    input.value = text;
    const row = el(
      "div",
      { class: "later-row" },
      el("span", { class: "later-word", "aria-hidden": "true" }, "then"),
      input,
    );
    row.append(
      iconButton("close", "Leave this sentence out", () => {
        row.remove();
        then.disabled = false;
        first.focus();
      }),
    );
    later.append(row);
    then.disabled = later.children.length >= MOST_SENTENCES - 1;
    if (focus) input.focus();
  }

  function ask(event) {
    event.preventDefault();
    const queries = [first, ...later.querySelectorAll("input")]
      .map((input) => input.value.trim())
      .filter(Boolean);
    if (!queries.length) {
      first.focus();
      if (address.asks(address.now()) && !pill.firstChild)
        address.go({ ...address.unasked(address.now()), view: "search" });
      return;
    }
    remember(queries);
    address.go({ ...address.unasked(address.now()), view: "search", queries }, { again: true });
  }

  async function take(chosen) {
    if (!chosen) return;
    box.classList.add("busy");
    say("Reading the file");
    try {
      const made = await api.upload(chosen);
      const kind = made.kind === "image" ? "image" : "video";
      await keepPicture(made.upload_id, chosen);
      address.go({
        ...address.unasked(address.now()),
        view: "search",
        upload: made.upload_id,
        kind,
        name: chosen.name,
      });
    } catch (error) {
      window.dispatchEvent(
        new CustomEvent("vidsift:trouble", {
          detail: { error, about: `\u201c${visible(chosen.name)}\u201d cannot be searched with` },
        }),
      );
    } finally {
      box.classList.remove("busy");
      file.value = "";
    }
  }
  file.addEventListener("change", () => take(file.files[0]));
  acceptDrops(take);

  function show(state) {
    const [head = "", ...rest] = state.queries;
    first.value = head;
    later.replaceChildren();
    rest.forEach((text) => addLater(text, false));
    then.disabled = rest.length >= MOST_SENTENCES - 1;
    pill.replaceChildren(...pillOf(state));
    first.placeholder = pill.firstChild ? "or describe it" : "What should the video show?";
  }

  return {
    node,
    show,
    focus() {
      first.focus();
      first.select();
    },
  };
}

/** What stands in the search field when the question is a picture. */
function pillOf(state) {
  if (!state.like && !state.upload) return [];
  const words = state.like ? "Footage like this" : visible(state.name || "your file");
  const away = iconButton("close", "Search without it", () => address.go(address.unasked(address.now())));
  return [
    el("span", { class: "pill" }, drawPicture(state), bdi(words, { class: "pill-words", title: words }), away),
  ];
}

function acceptDrops(take) {
  const over = (on) => document.body.classList.toggle("dropping", on);
  let depth = 0;
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => {
    if (!hasFile(event)) return;
    depth += 1;
    over(true);
  });
  window.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) over(false);
  });
  window.addEventListener("dragover", (event) => {
    if (hasFile(event)) event.preventDefault();
  });
  window.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    take(event.dataTransfer.files[0]);
  });
  window.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.files[0];
    if (pasted) take(pasted);
  });
}
