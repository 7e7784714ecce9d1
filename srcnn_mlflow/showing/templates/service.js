"use strict";

// In a block, as the viewer's names are not these.
{
  const byId = (id) => document.getElementById(id);
  const viewer = document.querySelector(".viewer");
  const sides = { left: byId("left"), right: byId("right") };
  // What was enlarged of the present picture, by scale and version.
  const made = new Map();
  let choices = {};
  let picture = null;
  let comparison = null;

  const chosenScale = () => document.querySelector("[name=scale]:checked");

  async function listVersions() {
    const answer = await fetch("versions");
    if (!answer.ok) throw new Error(await reason(answer));
    choices = await answer.json();
    offer();
  }

  // The versions of the scale; of each side, the same as before where there is one.
  function offer() {
    for (const [index, select] of Object.values(sides).entries()) {
      const offered = choices[chosenScale().value];
      const wanted = offered.find((one) => one.version === select.value) ?? offered[index];
      select.replaceChildren(...offered.map((one) => new Option(one.name, one.version)));
      select.value = wanted.version;
    }
  }

  async function reason(answer) {
    const text = await answer.text();
    try {
      return JSON.parse(text).message;
    } catch {
      return `The server answered ${answer.status}.`;
    }
  }

  async function take(name, file) {
    for (const one of made.values()) URL.revokeObjectURL(one.address);
    made.clear();
    picture = { name, file };
    document.body.classList.add("chosen");
    for (const button of document.querySelectorAll("[data-sample]")) {
      button.setAttribute("aria-pressed", button.dataset.sample === name);
    }
    await compare();
    viewer.scrollIntoView({ block: "nearest" });
  }

  async function compare() {
    if (!picture) return;
    comparison?.abort();
    const mine = (comparison = new AbortController());
    byId("trouble").textContent = "";
    byId("result").setAttribute("aria-busy", "true");
    try {
      const fitting = await fit(picture.file, Number(chosenScale().dataset.megapixels));
      const results = {};
      // One after another, so that neither takes time from the other.
      for (const [side, select] of Object.entries(sides)) {
        byId("status").textContent = `Enlarging ${picture.name}: ${select.selectedOptions[0].text} \u2026`;
        results[side] = await enlarged(select.value, fitting, mine.signal);
      }
      if (mine.signal.aborted) return;
      show(results, fitting);
      byId("status").textContent = "";
    } catch (error) {
      if (mine.signal.aborted) return;
      byId("status").textContent = "";
      byId("trouble").textContent = error instanceof TypeError ? "The server cannot be reached." : `${picture.name}: ${error.message}.`;
    }
    byId("result").removeAttribute("aria-busy");
  }

  // Of a photograph that is too large for the server, the middle.
  async function fit(file, megapixels) {
    let image;
    try {
      image = await createImageBitmap(file);
    } catch {
      // What only the server can read.
      return { file, cut: "" };
    }
    const { width, height } = image;
    const share = Math.sqrt((megapixels * 1e6) / (width * height));
    if (share >= 1) return { file, cut: "", width, height };
    const canvas = document.createElement("canvas");
    canvas.width = Math.floor(width * share);
    canvas.height = Math.floor(height * share);
    canvas.getContext("2d").drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2);
    const middle = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const cut = `The middle of ${width}\u00d7${height} pixels: the server takes ${Number(megapixels.toPrecision(2))} megapixels at \u00d7${chosenScale().value}.`;
    return { file: middle, cut, width: canvas.width, height: canvas.height };
  }

  async function enlarged(version, fitting, signal) {
    const scale = chosenScale().value;
    const key = `${scale}/${version}`;
    if (!made.has(key)) made.set(key, await enlarge(scale, version, fitting.file, signal));
    return made.get(key);
  }

  async function enlarge(scale, version, file, signal) {
    const headers = { Accept: "image/png", "Content-Type": "application/octet-stream" };
    const answer = await fetch(`upscale?scale=${scale}&version=${version}`, { method: "POST", body: file, headers, signal });
    if (!answer.ok) throw new Error(await reason(answer));
    const result = await answer.blob();
    const address = URL.createObjectURL(result);
    const image = new Image();
    image.src = address;
    await image.decode();
    const about = choices[scale].find((one) => one.version === version);
    return {
      address,
      caption: about.caption,
      bytes: result.size,
      seconds: Number(/dur=([\d.]+)/.exec(answer.headers.get("Server-Timing"))?.[1]) / 1000,
      width: image.naturalWidth,
      height: image.naturalHeight,
    };
  }

  function show(results, fitting) {
    const stem = picture.name.replace(/\.[^.]*$/, "");
    const { width, height } = results.right;
    byId("name-1").textContent = picture.name;
    for (const [side, one] of Object.entries(results)) {
      const image = viewer.querySelector(`[data-kind="${side}"]`);
      Object.assign(image.dataset, { caption: one.caption, name: one.caption });
      Object.assign(image, { width, height, src: one.address, alt: `${picture.name}, ${one.caption}` });
      const [name, time, file] = byId(`facts-${side}`).children;
      name.textContent = one.caption;
      time.textContent = `${one.seconds.toPrecision(2)} s`;
      file.firstChild.textContent = bytes(one.bytes);
      file.firstChild.href = one.address;
      file.firstChild.download = `${stem}-x${chosenScale().value} ${one.caption}.png`;
      file.firstChild.setAttribute("aria-label", `Save ${one.caption}, ${bytes(one.bytes)}`);
    }
    const from = fitting.width ? `From ${fitting.width}\u00d7${fitting.height} to ` : "";
    byId("sizes").textContent = `${from}${width}\u00d7${height} pixels; ${bytes(fitting.file.size)} sent`;
    byId("cut").textContent = fitting.cut;
    Object.assign(viewer.querySelector(".canvas").dataset, { width, height });
    byId("result").hidden = false;
    viewer.dispatchEvent(new CustomEvent("replaced", { detail: { left: "left", right: "right" } }));
  }

  function bytes(count) {
    return count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`;
  }

  function takeFile(file) {
    if (file) take(file.name || "pasted picture", file);
  }

  byId("file").addEventListener("change", (event) => takeFile(event.target.files[0]));
  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", async () => {
      const answer = await fetch(button.firstChild.src);
      await take(button.dataset.sample, await answer.blob());
    });
  }
  document.addEventListener("paste", (event) => takeFile(event.clipboardData.files[0]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    takeFile(event.dataTransfer.files[0]);
  });
  for (const select of Object.values(sides)) select.addEventListener("change", compare);
  for (const radio of document.querySelectorAll("[name=scale]")) {
    radio.addEventListener("change", () => {
      offer();
      compare();
    });
  }
  listVersions().catch((error) => {
    byId("trouble").textContent = error.message;
  });
}
