// A muted preview of a moment, over a card's picture. One at a time.

import { el, wantsStillness } from "./dom.js";
import { playFrom } from "./playFrom.js";

const DELAY_MS = 140;
let shown = null;

/** Let a card preview its moment while it is pointed at; returns {seek, stop}. */
export function previews({ holder, surface, media, start, end }) {
  let timer = 0;
  let video = null;
  let shift = 0;

  function stop() {
    window.clearTimeout(timer);
    if (!video) return;
    const old = video;
    video = null;
    if (shown === stop) shown = null;
    old.pause();
    old.removeAttribute("src");
    old.load();
    old.remove();
  }

  function begin() {
    if (video) return;
    shown?.();
    shown = stop;
    const last = Math.max(end, start + 1);
    video = el("video", {
      class: "preview",
      playsinline: true,
      preload: "auto",
      "aria-hidden": "true",
      tabindex: -1,
      disablepictureinpicture: true,
    });
    video.muted = true;
    video.addEventListener("timeupdate", () => {
      if (video && (video.currentTime - shift > last || video.ended)) video.currentTime = start + shift;
    });
    video.addEventListener("ended", () => video?.play().catch(() => {}));
    video.addEventListener("playing", () => video?.classList.add("shown"));
    video.addEventListener("error", stop);
    shift = 0;
    playFrom(video, media, start, {
      shifted: (seconds) => {
        shift = seconds;
      },
      lost: stop,
    });
    holder.append(video);
    video.play().catch(() => {});
  }

  function soon() {
    if (wantsStillness()) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(begin, DELAY_MS);
  }

  surface.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") soon();
  });
  surface.addEventListener("pointerleave", stop);
  surface.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) soon();
  });
  surface.addEventListener("focusout", stop);

  return {
    stop,
    seek(seconds) {
      if (video && video.readyState > 0) video.currentTime = seconds + shift;
    },
  };
}
