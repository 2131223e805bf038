"use strict";
// The linked-slices viewer of the group page: one viewer, moved to the contrast that is looked at.
// Everything comes from this file: NiiVue, the anatomy and the maps, unpacked when first needed.
(() => {
  const COLOURS = {
    positive: [[176, 58, 6], [232, 105, 11], [255, 166, 43], [255, 233, 168]],
    negative: [[27, 79, 168], [42, 125, 224], [92, 184, 255], [201, 239, 255]],
  };
  const byId = (id) => document.getElementById(id);
  const view = { nv: null, panel: null, contrast: null, data: null, original: null, mask: null, method: null };

  function bytesOf(base64) {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  }

  async function unpack(base64) {
    const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  async function loadLibrary() {
    const code = new TextDecoder().decode(await unpack(byId("viewer-library").textContent.trim()));
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  }

  function colormap(stops) {
    // Entry 0 is what NiiVue gives to everything below the cut-off: transparent.
    const pick = (k) => [stops[0][k], ...stops.map((stop) => stop[k])];
    const at = stops.map((_, i) => Math.round(1 + (254 * i) / (stops.length - 1)));
    return { R: pick(0), G: pick(1), B: pick(2), A: [0, ...stops.map(() => 255)], I: [0, ...at] };
  }

  async function start() {
    const canvas = view.panel.querySelector("canvas");
    if (!canvas.getContext("webgl2")) throw new Error("this browser has no WebGL 2");
    await loadLibrary();
    const nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.49, 0.94, 0.78, 0.9], crosshairWidth: 1, crosshairGap: 5, show3Dcrosshair: true,
      dragAndDropEnabled: false, isNearestInterpolation: true, isRadiologicalConvention: false, loadingText: "",
      multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS, multiplanarLayout: 0, logLevel: "error",
    });
    await nv.attachToCanvas(canvas);
    nv.addColormap("taskPositive", colormap(COLOURS.positive));
    nv.addColormap("taskNegative", colormap(COLOURS.negative));
    nv.addVolume(await image(byId("viewer-anatomy").textContent.trim(), "gray"));
    nv.onLocationChange = report;
    view.nv = nv;
  }

  function image(base64, colormapName) {
    return niivue.NVImage.loadFromBase64({ base64, name: "map.nii.gz", colormap: colormapName });
  }

  function report(location) {
    const [x, y, z] = location.mm;
    const index = voxelAt(x, y, z);
    const value = index < 0 ? NaN : view.values[index];
    const words = [x, y, z].map((v) => v.toFixed(0).replace("-", "−")).join(", ");
    const number = Number.isFinite(value) && value !== 0 ? value.toFixed(2).replace("-", "−") : "outside the mask";
    view.panel.querySelector(".readout").textContent = `${words} mm: ${view.data.statistic} = ${number}`;
  }

  // Maps in the page are upright: axes along x, y, z, ascending.
  function voxelAt(x, y, z) {
    const { shape, step, corner } = view.data.grid;
    const voxel = [x, y, z].map((v, i) => Math.round((v - corner[i]) / step[i]));
    if (voxel.some((v, i) => v < 0 || v >= shape[i])) return -1;
    return voxel[0] + shape[0] * (voxel[1] + shape[1] * voxel[2]);
  }

  async function open(anchor) {
    const slot = document.querySelector(`.explore[data-contrast="${anchor}"]`);
    if (!byId(`data-${anchor}`)) return false;
    if (view.busy || view.contrast === anchor) return view.contrast === anchor;
    view.busy = true;
    slot.append(view.panel);
    view.panel.hidden = false;
    document.querySelectorAll(".explore > .open").forEach((button) => { button.hidden = button.parentNode === slot; });
    try {
      say("Loading …");
      if (!view.nv) await start();
      await show(anchor);
      say("");
      view.panel.dataset.ready = anchor;
    } catch (error) {
      say(`The viewer cannot run here (${error.message}). The pictures below show the same map.`);
      view.panel.querySelector("canvas").hidden = true;
    }
    view.busy = false;
    return Boolean(view.nv);
  }

  async function show(anchor) {
    view.data = JSON.parse(byId(`data-${anchor}`).textContent);
    view.strips = JSON.parse(new TextDecoder().decode(await unpack(view.data.strips)));
    view.contrast = anchor;
    while (view.nv.volumes.length > 1) view.nv.removeVolume(view.nv.volumes[1]);
    const overlay = await image(view.data.map, "taskPositive");
    overlay.colormapNegative = view.data.signed ? "taskNegative" : "";
    view.original = overlay.img.slice();
    view.values = Float32Array.from(view.original, (v) => v * view.data.slope);
    view.mask = (await image(view.data.mask, "gray")).img;
    view.nv.addVolume(overlay);
    view.nv.updateInterpolation(0, true);
    offerMethods();
    choose(view.data.methods.length ? 0 : -1);
    jump(view.data.start);
  }

  function offerMethods() {
    const list = view.panel.querySelector(".methods");
    const names = view.data.methods.map((m) => m.title).concat("Own cut-off");
    list.replaceChildren(...names.map((name, i) => {
      const option = document.createElement("option");
      option.textContent = name;
      option.value = i < view.data.methods.length ? i : -1;
      return option;
    }));
    const slider = view.panel.querySelector("input[type=range]");
    slider.max = view.data.limit;
    slider.step = view.data.limit / 200;
  }

  // The voxels that survive a method are a bit of the mask.
  function choose(index) {
    const method = view.data.methods[index];
    view.method = method || null;
    view.panel.querySelector(".methods").value = index;
    const start = method ? method.cutoff ?? method.forming ?? 0 : 0;
    view.panel.querySelector("input[type=range]").value = start;
    keep(method ? 1 << method.bit : 0);
    cut(start);
  }

  function keep(bit) {
    const overlay = view.nv.volumes[1];
    for (let i = 0; i < overlay.img.length; i++) {
      overlay.img[i] = !bit || view.mask[i] & bit ? view.original[i] : 0;
    }
  }

  // A cut-off of one's own replaces that of the method; clusters and the like stay, and are cut further.
  function slide(threshold) {
    if (view.method && view.method.cutoff !== null) {
      view.method = null;
      view.panel.querySelector(".methods").value = -1;
      keep(0);
    }
    cut(threshold);
  }

  function cut(threshold) {
    const overlay = view.nv.volumes[1];
    // The map is coded in whole numbers; NiiVue sees those. What survives a method is never rounded away.
    const lowest = Math.max(threshold / view.data.slope - 1, 0.5);
    overlay.cal_min = lowest;
    overlay.cal_max = Math.max(view.data.limit, threshold * 1.05) / view.data.slope;
    view.nv.updateGLVolume();
    const used = view.data.signed ? `|${view.data.statistic}|` : view.data.statistic;
    let count = 0;
    for (const value of overlay.img) if (Math.abs(value) >= lowest) count++;
    const rule = threshold > 0 ? `${used} ≥ ${threshold.toFixed(2)}: ` : "";
    view.panel.querySelector("output").textContent = `${rule}${count} voxel${count === 1 ? "" : "s"}`;
  }

  function jump(position) {
    view.nv.scene.crosshairPos = view.nv.mm2frac(position);
    view.nv.createOnLocationChange();
    view.nv.drawScene();
    view.panel.querySelector(".strip").innerHTML = view.strips[position.map((v) => Math.round(v)).join(",")] || "";
  }

  function say(words) {
    view.panel.querySelector(".state").textContent = words;
  }

  async function goTo(row) {
    const section = row.closest("section");
    if (!(await open(section.id))) return;
    const method = view.data.methods.findIndex((m) => m.key === row.closest("[data-method]")?.dataset.method);
    if (method >= 0 && view.data.methods[method] !== view.method) choose(method);
    jump([row.dataset.x, row.dataset.y, row.dataset.z].map(Number));
    document.querySelectorAll("tr.chosen").forEach((other) => other.classList.remove("chosen"));
    row.classList.add("chosen");
    view.panel.scrollIntoView({ block: "nearest" });
  }

  function makeRowsActive() {
    for (const row of document.querySelectorAll("tr[data-x]")) {
      const head = row.querySelector("th");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "jump";
      button.textContent = head.textContent.trim();
      button.setAttribute("aria-label", `Show in the viewer: cluster ${button.textContent}, ${row.dataset.x}, ${row.dataset.y}, ${row.dataset.z} mm`);
      head.replaceChildren(button);
      row.addEventListener("click", () => goTo(row));
    }
  }

  function moveWithKeys(event) {
    const steps = {
      ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
      PageUp: [0, 0, 1], PageDown: [0, 0, -1],
    };
    const step = steps[event.key];
    if (!step || !view.nv) return;
    event.preventDefault();
    event.stopPropagation();
    view.nv.moveCrosshairInVox(...step);
  }

  const template = byId("viewer-panel");
  if (!template) return;
  view.panel = template.content.firstElementChild.cloneNode(true);
  view.panel.querySelector(".methods").addEventListener("change", (e) => choose(Number(e.target.value)));
  view.panel.querySelector("input[type=range]").addEventListener("input", (e) => slide(Number(e.target.value)));
  view.panel.querySelector(".layout-choice").addEventListener("change", (e) => view.nv.setSliceType(Number(e.target.value)));
  view.panel.querySelector("canvas").addEventListener("keydown", moveWithKeys, true);
  for (const slot of document.querySelectorAll(".explore")) {
    if (!byId(`data-${slot.dataset.contrast}`)) continue;
    slot.hidden = false;
    slot.querySelector(".open").addEventListener("click", () => open(slot.dataset.contrast));
  }
  makeRowsActive();
})();
