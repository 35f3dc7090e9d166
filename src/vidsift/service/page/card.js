// One hit: the moment's picture, the name, when, how sure, and the strip along the video.

import * as address from "./address.js";
import { frameOverWords, hasTimes, nearest, readAccount, wordOverTime } from "./account.js";
import { bdi, el, iconButton } from "./dom.js";
import { clock, fileName, folderOf, fullPath, part, span, spoken } from "./format.js";
import { collect } from "./collect.js";
import { previews } from "./preview.js";
import { keepThumbnail } from "./queryPicture.js";
import { makeMoments } from "./moments.js";
import { makeStrip } from "./strip.js";
import { sureness } from "./sureness.js";
import { pictureLink } from "./tile.js";

/**
 * A card for a hit.
 *
 * @param context {lazy, point(seconds, account), similar(hit), moments(hit), boxOf(hit, name)}: answers about
 *   hits, who wants to know, and what selects them.
 */
export function makeCard(hit, state, context) {
  const goal = { ...state, video: hit.video_id, segment: hit.segment_id, at: hit.start.toFixed(2) };
  const strip = makeStrip({ duration: hit.duration, bins: 96 });
  const name = fileName(hit.path);
  const { link: open, holder } = pictureLink(goal, hit, {
    when: span(hit.start, hit.end),
    label: labelOf(hit, name),
    eager: hit.rank <= 8,
    play: () => play(hit.start),
  });
  const node = el(
    "li",
    { class: "card", data: { segment: hit.segment_id, video: hit.video_id } },
    open,
    context.boxOf(hit, name),
    strip.node,
    el(
      "div",
      { class: "facts" },
      el("span", { class: "folder", title: fullPath(hit.path) }, bdi(lastFolder(hit.path))),
      el("span", { class: "length", title: "Length of the video" }, clock(hit.duration)),
      sureness(hit),
      iconButton("collection", `Add to a collection: ${name}`, () => collect([hit]), {
        class: "quiet more",
        title: "Add to a collection",
      }),
      iconButton(
        "similar",
        `More footage like this: ${name}`,
        () => {
          keepThumbnail(hit.segment_id, hit.thumbnail_url);
          context.similar(hit);
        },
        { class: "quiet more", title: "More like this" },
      ),
    ),
  );

  // Of a video that was compared as a whole there are no others.
  const moments =
    state.by === "video" && isPart(hit) && !hit.parts.length ? makeMoments(hit, state, context.moments) : null;
  if (moments) node.append(moments.node);

  let account = null;
  let whole = null;
  let word = null;

  function play(seconds) {
    preview.stop();
    address.go({ ...goal, at: seconds.toFixed(2) }, { inside: true });
  }

  function draw() {
    const group = account?.groups[word?.group];
    if (word && hasTimes(group) && group.words[word.place]) {
      const seen = wordOverTime(account, group, word.place);
      strip.show({ ...seen, start: hit.segment_start, end: hit.segment_end, kind: "word" });
    } else if (whole?.times.length) {
      strip.show({ times: whole.times, values: whole.shares });
    } else {
      strip.show({
        times: hit.strip?.times ?? [],
        values: hit.strip?.shares ?? [],
        start: hit.segment_start,
        end: hit.segment_end,
      });
    }
    node.classList.toggle("asked", Boolean(word));
  }

  const preview = previews({ holder, surface: node, media: hit.media_url, start: hit.start, end: hit.end });
  strip.mark({
    segment: isPart(hit) ? [hit.segment_start, hit.segment_end] : null,
    moment: [hit.start, hit.end],
  });
  draw();

  strip.node.addEventListener("pointermove", (event) => {
    const seconds = strip.secondsAt(event);
    strip.point(seconds);
    preview.seek(seconds);
    context.point(seconds, account && inSegment(seconds) ? account : null);
  });
  strip.node.addEventListener("pointerleave", () => {
    strip.point(null);
    context.point(null, null);
  });
  strip.node.addEventListener("click", (event) => play(strip.secondsAt(event)));

  function inSegment(seconds) {
    return seconds >= hit.segment_start - 1e-3 && seconds <= hit.segment_end + 1e-3;
  }

  return {
    node,
    open,
    hit,
    select: () => node.querySelector(".select").click(),
    /** The other moments of the video, as far as they are listed. */
    moments: () => moments?.hits() ?? [],
    /** What opens a segment, if it is this card's; else nothing. */
    linkOf: (segmentId) => (hit.segment_id === segmentId ? open : moments?.linkOf(segmentId)),
    /** Ask for what the card can do without at first: the words' account and the rest of the video. */
    async learn() {
      if (context.lazy === null) return null;
      if (isPart(hit)) {
        context.lazy.strip(hit.video_id).then(
          (answer) => {
            whole = answer;
            draw();
            node.dataset.whole = "shown";
          },
          () => {},
        );
      } else node.dataset.whole = "shown";
      try {
        account = readAccount(await context.lazy.explanation(hit.segment_id));
        draw();
        node.dataset.account = "read";
      } catch {
        // A black box has no account; the player says so, the card stays as it is.
      }
      return account;
    },
    /** Show where a word matched; null shows the score again. */
    ask(pointedWord) {
      word = pointedWord;
      draw();
    },
  };
}

/** What a frame of an account showed, for every group of words. */
export function wordsAt(account, seconds) {
  const time = nearest(account.times, seconds);
  if (time === null) return null;
  const byPlace = new Map();
  account.groups.forEach((group, place) => {
    const seen = frameOverWords(group, time);
    if (seen) byPlace.set(place, seen);
  });
  return byPlace;
}

function isPart(hit) {
  return hit.segment_start > 0.05 || hit.segment_end < hit.duration - 0.05;
}

/** The name of the folder that a file lies in. */
export function lastFolder(path) {
  return folderOf(path).split(/[\\/]/).at(-1) || "/";
}

function labelOf(hit, name) {
  const match = hit.match ?? `score ${part(hit.score, 3)}`;
  return `${hit.rank}. ${name}, at ${spoken(hit.start)}, ${match}. Play`;
}
