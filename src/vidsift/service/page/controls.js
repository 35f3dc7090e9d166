// Playing: the picture, the buttons below it, and the timeline as a slider.

import { el, iconButton, relabel } from "./dom.js";
import { clock, fineClock, spoken } from "./format.js";
import { playFrom } from "./playFrom.js";

const SPEEDS = [0.5, 1, 1.5, 2];

/**
 * Build the picture into `stage` and its controls.
 *
 * @param timeline holds the strip; it becomes the slider.
 * @param moved `moved(seconds, settled)` is called as the picture moves; settled when it stopped somewhere.
 */
export function makeControls({ stage, timeline, moved }) {
  const video = el("video", { playsinline: true, preload: "auto", tabindex: -1, "aria-label": "Video" });
  const cannot = el("p", { class: "cannot" }, "");
  const play = iconButton("play", "Play", toggle, { class: "quiet strong", autofocus: true });
  const sound = iconButton("sound", "Mute", () => {
    video.muted = !video.muted;
  });
  const full = iconButton("full", "Full screen", () =>
    document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen?.(),
  );
  const speed = el(
    "select",
    {
      "aria-label": "Speed",
      class: "speed",
      on: {
        change: () => {
          video.playbackRate = Number(speed.value);
        },
      },
    },
    ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === 1 }, `${speed}\u00d7`)),
  );
  const time = el("span", { class: "time" });
  const node = el(
    "div",
    { class: "controls" },
    play,
    time,
    el("span", { class: "spring" }),
    speed,
    sound,
    full,
  );
  let length = 0;
  // What the player counts from, where that is not where the video begins.
  let shift = 0;
  let strip = null;
  let dragging = false;
  let timer = 0;

  stage.append(video, cannot);
  timeline.setAttribute("role", "slider");
  timeline.setAttribute("tabindex", "0");
  timeline.setAttribute("aria-label", "Where in the video");
  timeline.setAttribute("aria-valuemin", "0");

  function toggle() {
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  }

  function now() {
    return video.currentTime - shift;
  }

  function tell() {
    const seconds = now();
    const format = length < 60 ? fineClock : clock;
    time.textContent = `${format(seconds)} / ${format(length)}`;
    timeline.setAttribute("aria-valuenow", seconds.toFixed(1));
    timeline.setAttribute("aria-valuetext", `${spoken(seconds)} of ${spoken(length)}`);
    return seconds;
  }

  /** Follow the picture frame by frame while it plays: the head moves smoothly. */
  function follow() {
    cancelAnimationFrame(timer);
    moved(tell(), false);
    if (!video.paused && !video.ended) timer = requestAnimationFrame(follow);
  }

  video.addEventListener("play", () => {
    relabel(play, "pause", "Pause");
    follow();
  });
  video.addEventListener("pause", () => {
    relabel(play, "play", "Play");
    // Nobody chose the end that a video came to by itself.
    moved(tell(), !video.ended);
  });
  video.addEventListener("seeked", () => moved(tell(), video.paused));
  video.addEventListener("timeupdate", tell);
  video.addEventListener("volumechange", () =>
    relabel(sound, video.muted ? "silent" : "sound", video.muted ? "Sound on" : "Mute"),
  );
  video.addEventListener("click", toggle);
  video.addEventListener("dblclick", () => full.click());
  video.addEventListener("error", () => {
    if (video.getAttribute("src")) fail("This browser cannot play the file.");
  });

  function fail(words) {
    video.pause();
    stage.classList.add("failed");
    cannot.textContent = `${words} The frames below and the download still work.`;
  }

  function seek(seconds) {
    const at = Math.min(Math.max(0, seconds), Math.max(0, length - 0.05));
    video.currentTime = at + shift;
    strip?.at(at);
  }

  timeline.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !strip) return;
    dragging = true;
    timeline.setPointerCapture(event.pointerId);
    seek(strip.secondsAt(event));
  });
  timeline.addEventListener("pointermove", (event) => {
    if (dragging) seek(strip.secondsAt(event));
  });
  for (const type of ["pointerup", "pointercancel"]) {
    timeline.addEventListener(type, () => {
      dragging = false;
    });
  }

  /** Act on a key; tells whether it meant something. `pressed`: it went to a button, which keeps space and Enter. */
  function key(event, pressed) {
    const onTimeline = event.target === timeline;
    const step = onTimeline ? Math.max(0.5, Math.min(5, length / 50)) : 5;
    const acts = {
      ArrowLeft: () => seek(now() - step),
      ArrowRight: () => seek(now() + step),
      Home: () => seek(0),
      End: () => seek(length),
      ",": () => seek(now() - 0.1),
      ".": () => seek(now() + 0.1),
      k: toggle,
      m: () => sound.click(),
      f: () => full.click(),
    };
    if (!pressed) acts[" "] = toggle;
    if (onTimeline) acts.Enter = toggle;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    act?.();
    return Boolean(act);
  }

  return {
    node,
    key,
    seek,
    time: now,
    /** Show a video from a second on. */
    load({ media, poster, start, duration, strip: newStrip }) {
      length = duration;
      strip = newStrip;
      stage.classList.remove("failed");
      cannot.textContent = "";
      timeline.setAttribute("aria-valuemax", duration.toFixed(1));
      video.poster = poster;
      shift = 0;
      playFrom(video, media, start, {
        shifted: (seconds) => {
          shift = seconds;
        },
        lost: () => fail("This browser cannot go to the moment in this file."),
      });
      video.playbackRate = Number(speed.value);
      strip.at(start);
      // A link that was opened from outside may not play by itself; the moment then waits as a picture.
      video.play().catch(() => moved(tell(), false));
    },
    stop() {
      cancelAnimationFrame(timer);
      video.pause();
      video.removeAttribute("src");
      video.removeAttribute("poster");
      video.load();
    },
  };
}
