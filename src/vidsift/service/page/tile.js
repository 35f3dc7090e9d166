// A link with a picture that opens a video: on a card, on the shelf, in a collection.

import * as address from "./address.js";
import { bdi, el, plainClick } from "./dom.js";
import { fileName, fullPath } from "./format.js";

/**
 * Build the link.
 *
 * @param goal the state that it leads to.
 * @param video {thumbnail_url, path} of what it shows.
 * @param when words in the corner of the picture; `label` what it says to who does not see it.
 * @param eager whether the picture is fetched at once; `play()` what a plain click does, else it goes there.
 * @returns {{link, holder}} `holder` of the picture, over which a preview may play.
 */
export function pictureLink(goal, video, { when, label, eager = false, play }) {
  const picture = el("img", {
    class: "picture",
    src: video.thumbnail_url,
    alt: "",
    loading: eager ? "eager" : "lazy",
    decoding: "async",
    width: 320,
    height: 180,
  });
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const holder = el("span", { class: "frame" }, picture, el("span", { class: "when" }, when));
  const link = el(
    "a",
    { class: "open", href: address.href(goal), "aria-label": label },
    holder,
    el("span", { class: "title", title: fullPath(video.path) }, bdi(fileName(video.path))),
  );
  const usual = () => address.go(goal, { inside: true });
  link.addEventListener("click", plainClick(play ?? usual));
  return { link, holder };
}
