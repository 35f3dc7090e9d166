// Playing a file from a second on. Seconds count from where a video begins, as everywhere on the page; some
// files' own clocks stand elsewhere then, and browsers differ in which of the two they count by.

const SLACK = 0.05;
const FIRST_PICTURE_MS = 3000;
const starts = new Map();

/** Where a file's own clock stands when the video begins; 0 where nobody knows. */
function startOf(media) {
  if (!starts.has(media)) {
    const request = fetch(media, { method: "HEAD", credentials: "same-origin" })
      .then((answer) => Number(answer.headers.get("x-start-seconds") ?? Number.NaN))
      .catch(() => Number.NaN)
      .then((seconds) => {
        if (Number.isNaN(seconds)) starts.delete(media); // it may be known the next time
        return seconds || 0;
      });
    starts.set(media, request);
  }
  return starts.get(media);
}

/** The time that the player itself gives to the first picture that it shows. */
function firstPicture(video, late) {
  return new Promise((done) => {
    video.requestVideoFrameCallback?.((_, frame) => done(frame.mediaTime));
    video.addEventListener("loadeddata", () => video.currentTime > late / 2 && done(video.currentTime), {
      once: true,
    });
    setTimeout(() => done(video.currentTime), FIRST_PICTURE_MS);
  });
}

/**
 * Load a file into a video element so that it stands at a second.
 *
 * @param shifted `shifted(seconds)` is called where the player counts from elsewhere: its time is so much later.
 * @param lost `lost()` is called where the player cannot go there, as Chromium in an MP4 that starts late.
 */
export async function playFrom(video, media, start, { shifted, lost }) {
  const source = `${media}#t=${start.toFixed(3)}`;
  video.src = source;
  const late = await startOf(media);
  if (Math.abs(late) < SLACK || video.getAttribute("src") !== source) return;
  const plays = !video.paused;
  video.src = media;
  if (plays) video.play().catch(() => {});
  const first = await firstPicture(video, late);
  if (video.getAttribute("src") !== media) return;
  const shift = first > late / 2 ? late : 0;
  shifted(shift);
  if (start + shift > video.duration) lost();
  else video.currentTime = start + shift;
}
