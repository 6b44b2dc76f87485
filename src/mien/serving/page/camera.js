// The camera: takes a photo in a dialog, and is on only while that is open.

import { byId, made } from "./elements.js";

const REASONS = {
  NotAllowedError: "Camera access was denied. Allow the camera for this page in your browser's settings.",
  NotFoundError: "No camera found.",
  NotReadableError: "Another program is using the camera.",
};

/**
 * Use a phone's own camera app through a file field, for browsers without camera access, e.g. over plain http. Hide the
 * button on other devices.
 */
export function useCameraProgram(opener, field) {
  opener.hidden = !matchMedia("(hover: none)").matches;
  opener.addEventListener("click", () => field.click());
}

/** Open the dialog when a button is pressed, and call `take` with each photo, a File. */
export function setUpCamera(opener, dialog, take) {
  const [video, said, shoot, close] = ["video", "camera-said", "shoot", "camera-close"].map(byId);

  async function open() {
    said.textContent = "";
    video.hidden = shoot.hidden = false;
    shoot.disabled = true;
    dialog.showModal();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
      if (!dialog.open) return end(stream);
      video.srcObject = stream;
    } catch (error) {
      video.hidden = shoot.hidden = true;
      said.textContent = REASONS[error.name] ?? error.message;
      close.focus();
    }
  }

  opener.addEventListener("click", open);
  video.addEventListener("playing", () => {
    shoot.disabled = false;
    shoot.focus();
  });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    if (video.srcObject) end(video.srcObject);
    video.srcObject = null;
  });
  shoot.addEventListener("click", async () => {
    take(await photoOf(video));
    dialog.close();
  });
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

async function photoOf(video) {
  const canvas = made("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const content = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  const time = new Date().toLocaleTimeString("en-GB").replaceAll(":", "-");
  return new File([content], `photo ${time}.jpg`, { type: "image/jpeg" });
}
