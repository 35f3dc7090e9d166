// Cutting seconds out of a video and keeping them as a file.

import * as api from "./api.js";
import { bytes, fineClock, readClock } from "./format.js";
import { el, icon, say } from "./dom.js";

/** Up to so many seconds are encoded anew, to begin and end exactly; more would take long, and are copied. */
const EXACT_SECONDS = 120;

/** Build the form; `time()` gives the second that is shown, `marked([from, to] or null)` draws the choice. */
export function makeCut({ time, marked }) {
  const opener = el(
    "button",
    { type: "button", class: "plain", "aria-expanded": "false", on: { click: () => toggle() } },
    icon("scissors"),
    "Cut and download",
  );
  const start = field("From");
  const end = field("To");
  const message = el("p", { class: "note", role: "status" });
  const send = el("button", { type: "submit", class: "primary wide" }, "Download");
  const node = el(
    "form",
    { class: "cut", hidden: true, novalidate: true, on: { submit: cutOut } },
    line("From", start, "start"),
    line("To", end, "end"),
    el("div", { class: "cut-send" }, send, message),
  );
  let videoId = "";
  let length = 0;
  let running = null;
  let offered = [0, 0];

  function field(words) {
    return el("input", {
      type: "text",
      inputmode: "decimal",
      class: "clock-field",
      "aria-label": words,
      autocomplete: "off",
      on: { input: () => check() },
    });
  }

  function line(words, input, which) {
    return el(
      "div",
      { class: "cut-line" },
      el("span", { "aria-hidden": "true" }, words),
      input,
      el(
        "button",
        {
          type: "button",
          class: "text",
          "aria-label": `${words}: the second that is shown`,
          on: { click: () => take(which) },
        },
        "now",
      ),
    );
  }

  function toggle(open = node.hidden) {
    node.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) {
      check();
      start.focus();
    } else marked(null);
  }

  /** Read both fields; null with a word about it where they make no stretch. */
  function check(hidden = false) {
    const [from, to] = [readClock(start.value), readClock(end.value)];
    const wrong =
      from === null || to === null
        ? "Times look like 75, 1:15 or 1:02:03.5"
        : from >= to
          ? "The end has to come after the start"
          : from >= length
            ? `The video is ${fineClock(length)} long`
            : "";
    start.setAttribute("aria-invalid", String(from === null || Boolean(wrong)));
    end.setAttribute("aria-invalid", String(to === null || Boolean(wrong)));
    send.disabled = Boolean(wrong);
    message.textContent = wrong || `${Math.round((Math.min(to, length) - from) * 10) / 10} seconds`;
    if (!hidden) marked(wrong ? null : [from, Math.min(to, length)]);
    return wrong ? null : [from, Math.min(to, length)];
  }

  /** Take the second that is shown as start or end. */
  function take(which) {
    if (node.hidden) toggle(true);
    const input = which === "start" ? start : end;
    input.value = fineClock(time());
    check();
    say(`${which === "start" ? "From" : "To"} ${input.value}`);
  }

  async function cutOut(event) {
    event.preventDefault();
    const stretch = check();
    if (!stretch || running) return;
    running = new AbortController();
    send.disabled = true;
    message.textContent = "Cutting \u2026";
    try {
      const exact = stretch[1] - stretch[0] <= EXACT_SECONDS;
      const { file, name, holds } = await api.clip(videoId, ...stretch, exact, running.signal);
      save(file, name ?? "clip.mp4");
      message.textContent = `Saved, ${bytes(file.size)}${overrun(stretch, holds)}`;
    } catch (error) {
      if (!api.isAbort(error)) message.textContent = error.detail || error.title;
    } finally {
      running = null;
      send.disabled = false;
    }
  }

  return {
    node,
    opener,
    take,
    close: () => toggle(false),
    /** The seconds that are chosen; those that were offered, where what was typed makes no sense. */
    stretch: () => check(node.hidden) ?? offered,
    about(id, duration, [from, to]) {
      running?.abort();
      videoId = id;
      length = duration;
      offered = [from, to];
      start.value = fineClock(from);
      end.value = fineClock(to);
      message.textContent = "";
    },
  };
}

/** What a copied clip holds beyond what was chosen. */
function overrun([from, to], [begins, ends]) {
  const [before, after] = [from - begins, ends - to].map((seconds) => Math.round(seconds * 10) / 10);
  const parts = [];
  if (before > 0) parts.push(`${before} s before the start in players that skip nothing`);
  if (after > 0) parts.push(`${after} s after the end`);
  return parts.length ? `; also ${parts.join(", ")}` : "";
}

/** Keep a file under a name, as a download. */
export function save(file, name) {
  const url = URL.createObjectURL(file);
  const link = el("a", { href: url, download: name });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
