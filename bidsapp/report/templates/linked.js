"use strict";
// The linked view of a contrast: slices, cortex, panel and tables under one cross-hair.
// Drawn on plain canvases from what the page holds; p of a voxel is looked up, never computed.
(() => {
  const KINDS = {
    uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  };
  const AXES = ["x", "y", "z"];
  const PLANES = [{ across: 1, up: 2, through: 0 }, { across: 0, up: 2, through: 1 }, { across: 0, up: 1, through: 2 }];
  const NONE_8 = 255, TOP_8 = 254, NONE_16 = 65535;
  const NEAR_MM = 10, FINEST = 2, FONT = "px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif";
  const texts = {}, arrays = new Map(), scripts = new Map();
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const looks = () => prefersDark.matches && !printing
    ? { ink: "#e6ebf0", soft: "#a9b5c1", cross: "#4be07f", edge: "#ffffff", cortex: 0.84 }
    : { ink: "#1c2733", soft: "#52606d", cross: "#0a8f3c", edge: "#111111", cortex: 1 };

  // ---- data
  window.linkedParts = (more) => Object.assign(texts, more);

  async function unpack(text, kind) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const size = kind.BYTES_PER_ELEMENT, n = planes.length / size;
    if (size === 1) return new kind(planes.buffer);
    const joined = new Uint8Array(planes.length);
    for (let b = 0; b < size; b++) for (let i = 0; i < n; i++) joined[i * size + b] = planes[b * n + i];
    return new kind(joined.buffer);
  }

  function read(ref) {
    if (!ref) return null;
    if (!arrays.has(ref.part)) {
      const text = texts[ref.part] ?? document.getElementById(`part-${ref.part}`)?.textContent;
      if (text === undefined) return Promise.reject(new Error("its data are not there"));
      arrays.set(ref.part, unpack(text, KINDS[ref.type]));
      delete texts[ref.part];
    }
    return arrays.get(ref.part);
  }

  function load(path) {
    if (!scripts.has(path)) {
      scripts.set(path, new Promise((done, fail) => {
        const script = document.createElement("script");
        script.src = path.split("/").map(encodeURIComponent).join("/");
        script.onload = done;
        script.onerror = () => { scripts.delete(path); fail(new Error(`${path} is not beside this page`)); };
        document.head.append(script);
      }));
    }
    return scripts.get(path);
  }

  // ---- words
  const esc = (words) => String(words).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

  // As Python rounds: exact halves to even.
  function fixed(value, digits) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value), tie = size * 2 ** (digits + 1), scale = 10 ** digits;
    let rounded = size;
    if (Number.isInteger(tie) && tie % 2) rounded = (2 * Math.round((size * scale) / 2)) / scale;
    const words = rounded.toFixed(digits);
    return value < 0 && Number(words) ? `−${words}` : words;
  }

  function wordsOfP(p) {
    if (p === null) return "–";
    if (p < 0.0001) return "< .0001";
    return p >= 0.9995 ? "1" : fixed(p, p < 0.00095 ? 4 : 3).replace(/^0/, "");
  }

  // A stored number as its value; the lowest of its kind is none.
  const LOWEST = { int16: -32768, int32: -2147483648 };
  const valueOf = (map, ref, i) => (map[i] === LOWEST[ref.type] ? NaN : map[i] * ref.step);

  const readable = (name) => name.replaceAll("_", " ");
  // As it was written, without the last digits of doubles.
  const readableNumber = (value) => String(Number(value.toPrecision(9))).replace("-", "−");
  const place = (mm) => mm.map((v) => fixed(v, 0)).join(", ");

  function ticks(low, high, n) {
    const rough = (high - low) / n, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= rough * 0.999), found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
    return { found, digits: clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 6) };
  }

  // y over ascending x.
  function between(xs, ys, x) {
    if (x <= xs[0]) return ys[0];
    let low = 0, high = xs.length - 1;
    if (x >= xs[high]) return ys[high];
    while (high - low > 1) { const mid = (low + high) >> 1; if (xs[mid] <= x) low = mid; else high = mid; }
    return ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
  }

  // 256 colours from weak to strong; the page names them from strong below zero to strong above.
  function ramp(stops) {
    const rgb = stops.map((c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16)));
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (rgb.length - 1), k = Math.min(Math.floor(at), rgb.length - 2);
      return rgb[k].map((v, c) => Math.round(v + (rgb[k + 1][c] - v) * (at - k)));
    });
  }

  const shared = JSON.parse(document.getElementById("linked-shared").textContent);
  const half = shared.colours.length / 2;
  const WARM = ramp(shared.colours.slice(half)), COLD = ramp(shared.colours.slice(0, half).reverse());

  // ---- cortex: geometry once a page
  let cortex = null;
  async function readCortex() {
    const source = shared.cortex;
    const [coded, folds, ...lists] = await Promise.all([source.positions, source.folds, ...source.triangles].map(read));
    const n = folds.length / 2;
    const sides = [0, 1].map((side) => {
      const list = lists[side] ?? lists[0], faces = new Uint32Array(list.length), nFaces = list.length / 3;
      for (let k = 0, sum = 0; k < 3; k++, sum = 0) {
        for (let i = 0; i < nFaces; i++) faces[3 * i + k] = sum += list[k * nFaces + i];
      }
      const spots = new Float32Array(3 * n), middle = [0, 0, 0];
      for (let i = 0; i < n; i++) {
        for (let k = 0; k < 3; k++) middle[k] += (spots[3 * i + k] = coded[(3 * side + k) * n + i] * source.positions.step) / n;
      }
      for (let i = 0; i < 3 * n; i++) spots[i] -= middle[i % 3];
      return { spots, faces, ...normalsOf(spots, faces) };
    });
    return { n, folds, sides };
  }

  function normalsOf(spots, faces) {
    const normals = new Float32Array(spots.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const u = [0, 1, 2].map((k) => spots[b + k] - spots[a + k]), v = [0, 1, 2].map((k) => spots[c + k] - spots[a + k]);
      for (let k = 0; k < 3; k++) {
        const part = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
        normals[a + k] += part; normals[b + k] += part; normals[c + k] += part;
      }
    }
    let outwards = 0;
    for (let i = 0; i < spots.length; i++) outwards += spots[i] * normals[i];
    const turn = outwards < 0 ? -1 : 1;
    for (let i = 0; i < normals.length; i += 3) {
      const length = turn * (Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1);
      for (let k = 0; k < 3; k++) normals[i + k] /= length;
    }
    return { normals, turn };
  }

  // To the right, up and towards the eye, left hemisphere and right; above and below lie on their side to fit.
  const SIGHTS = {
    outside: [[[0, -1, 0], [0, 0, 1], [-1, 0, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]],
    inside: [[[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[0, -1, 0], [0, 0, 1], [-1, 0, 0]]],
    above: [[[0, -1, 0], [1, 0, 0], [0, 0, 1]], [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]],
    below: [[[0, -1, 0], [-1, 0, 0], [0, 0, -1]], [[0, 1, 0], [1, 0, 0], [0, 0, -1]]],
    back: [[[1, 0, 0], [0, 0, 1], [0, -1, 0]], [[1, 0, 0], [0, 0, 1], [0, -1, 0]]],
    front: [[[-1, 0, 0], [0, 0, 1], [0, 1, 0]], [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]],
  };
  const dot = (a, b, k = 0) => a[k] * b[0] + a[k + 1] * b[1] + a[k + 2] * b[2];

  class View {
    constructor(slot, data) {
      Object.assign(this, { slot, data, layers: [data], mm: data.position.slice(), rule: data.rules.length ? 0 : -1, yaw: 0, pitch: 0, sight: "outside" });
      // A page with one view is about one contrast.
      this.section = document.querySelectorAll(".linked").length > 1 ? slot.closest("section") : document.body;
      this.opacity = 1;
      this.under = 0;
      this.vertex = -1;
      this.faded = data.rules.length > 0 && data.rules[0].n > 0;
    }

    $(selector) { return this.root.querySelector(selector); }

    // Once; a second call waits for the first.
    start() { return this.started ??= this.open().catch((error) => this.fail(error)); }

    async open() {
      const begun = performance.now(), data = this.data;
      Object.assign(this, await this.readMap(data));
      this.setScale();
      this.root = document.getElementById("linked-template").content.firstElementChild.cloneNode(true);
      await this.chooseUnder(0);
      this.slot.querySelector(".linked-still").hidden = true;
      this.slot.append(this.root);
      this.offerChoices();
      this.drawSlices();
      const first = performance.now() - begun;
      Object.assign(this, await this.readRest(data));
      this.listen();
      this.showCut();
      this.sight = this.bestSight();
      this.colourCortex();
      this.draw(true);
      this.slot.dataset.ready = data.anchor;
      this.slot.dataset.timing = JSON.stringify({ first: Math.round(first), all: Math.round(performance.now() - begun) });
      if (data.subjects && !data.effectsFile) await this.readSubjects();
    }

    fail(error) {
      this.slot.querySelector(".linked-still").hidden = false;
      this.root?.remove();
      const note = document.createElement("p");
      note.className = "note linked-failed";
      note.textContent = `The interactive view cannot run here (${error.message}). The pictures show the same map.`;
      this.slot.append(note);
    }

    async readMap(data) {
      if (data.mapsFile) await load(data.mapsFile);
      const [mask, map, survivors] = await Promise.all([data.grid.mask, data.statistic.map, data.survivors].map(read));
      const [nx, ny, nz] = data.grid.shape, n = nx * ny * nz, index = new Int32Array(n).fill(-1), flat = [];
      for (let i = 0; i < n; i++) if ((mask[i >> 3] >> (i & 7)) & 1) index[i] = flat.push(i) - 1;
      return { map, survivors, index, flat: Uint32Array.from(flat) };
    }

    async readRest(data) {
      const refs = ["digits", "values", "low", "high"].map((key) => data.effect?.[key]).concat(["values", "low", "high"].map((key) => data.size?.[key]), ["digits", "values"].map((key) => data.detectable?.[key]));
      if (data.vertices) cortex ??= readCortex();
      const [surface, vertices, dofs, ps, maps, labels] = await Promise.all([
        data.vertices && cortex, read(data.vertices), read(data.statistic.dofs),
        Promise.all(data.rules.map((rule) => read(rule.p ?? rule.share))), Promise.all(refs.map(read)),
        Promise.all(data.atlases.map((atlas) => Promise.all([read(atlas.regions), read(atlas.percent)]))),
      ]);
      return { cortex: surface, vertices, dofs, ps, maps, labels };
    }

    // Another map of the same contrast, at the same place and with the same choices.
    async chooseLayer(k) {
      const data = this.layers[k];
      this.wanted = data;
      let found;
      try {
        found = [await this.readMap(data), await this.readRest(data)];
      } catch (error) {
        this.$(".layer").value = this.layers.indexOf(this.data);
        this.$(".layer-note").textContent = `That map cannot be shown (${error.message}): keep both in one folder.`;
        return;
      }
      if (this.wanted !== data) return;
      Object.assign(this, ...found, { data, near: null });
      this.$(".layer-note").textContent = "";
      const { cut } = this;
      this.setScale();
      if (this.rule < 0) this.cut = cut;
      this.offerRules();
      this.changed();
    }

    async readSubjects() {
      const subjects = this.data.subjects, { effectsFile } = this.data;
      try {
        if (effectsFile) await load(effectsFile);
        this.rows = await Promise.all([subjects.codes, subjects.start, subjects.span].map(read));
      } catch (error) {
        this.noRows = `The effects of the subjects lie in ${effectsFile}, which is not beside this page: keep both in one folder.`;
      }
      this.drawPanel();
    }

    setScale() {
      const { statistic, limit } = this.data, curve = statistic.curve;
      this.signed = statistic.signed;
      this.tail = statistic.tail;
      this.bars = this.signed && this.tail === "two" ? "|" : "";
      this.sides = !this.signed ? "" : this.bars ? ", one-sided in each tail" : ", one-sided";
      // Where fading ends: uncorrected p .001, as all of the view one-sided in each tail.
      this.full = curve ? between(curve.logp.map((v) => -v), curve.at, 3) || limit / 2 : limit / 2;
      const own = this.data.rules[this.rule]?.cutoff;
      this.cut = own ?? this.full;
    }

    value(i) { return this.map[i] * this.data.statistic.map.step; }

    keeps(i) {
      if (this.rule >= 0) return (this.survivors[i] >>> this.rule) & 1;
      const value = this.value(i);
      return (this.tail === "positive" ? value : this.tail === "negative" ? -value : Math.abs(value)) >= this.cut ? 1 : 0;
    }

    alpha(i) {
      if (this.keeps(i)) return this.opacity;
      if (!this.faded) return 0;
      return this.opacity * Math.min(0.5, 0.5 * (Math.abs(this.value(i)) / this.full) ** 3);
    }

    colour(value) {
      const k = Math.round(255 * Math.min(1, Math.abs(value) / this.data.limit));
      return value < 0 && this.signed ? COLD[k] : WARM[k];
    }

    // ---- places
    voxelAt(mm) {
      const { shape, step, corner } = this.data.grid;
      const voxel = mm.map((v, k) => Math.round((v - corner[k]) / step[k]));
      return voxel.some((v, k) => v < 0 || v >= shape[k]) ? null : voxel;
    }

    pointAt(mm) {
      const voxel = this.voxelAt(mm), { shape } = this.data.grid;
      return voxel ? this.index[(voxel[0] * shape[1] + voxel[1]) * shape[2] + voxel[2]] : -1;
    }

    mmOf(point) {
      const { shape, step, corner } = this.data.grid, flat = this.flat[point];
      const voxel = [Math.floor(flat / (shape[1] * shape[2])), Math.floor(flat / shape[2]) % shape[1], flat % shape[2]];
      return voxel.map((v, k) => corner[k] + v * step[k]);
    }

    go(mm, vertex = -1) {
      const { step, corner } = this.data.grid, voxel = this.voxelAt(mm);
      this.mm = voxel ? voxel.map((v, k) => corner[k] + v * step[k]) : mm.slice();
      this.vertex = vertex;
      View.active = this;
      if (this.data.subjects && !this.rows && !this.noRows) this.readSubjects();
      this.draw();
    }

    draw(now = false) {
      cancelAnimationFrame(this.frame);
      const all = () => { this.drawSlices(); this.drawCortex(); this.drawPanel(); this.markRows(); };
      if (now) all(); else this.frame = requestAnimationFrame(all);
    }

    sharpness() { return printing ? 2 * FINEST : Math.min(FINEST, devicePixelRatio || 1); }

    // ---- slices
    async chooseUnder(k) {
      const under = this.data.underlays[k];
      [this.under, this.grey] = [k, await read(under.map)];
      this.box = AXES.map((_, a) => [under.corner[a] - under.step[a] / 2, under.corner[a] + (under.shape[a] - 0.5) * under.step[a]]);
      const wide = PLANES.map((plane) => this.box[plane.across][1] - this.box[plane.across][0]);
      const slices = this.root.querySelector(".slices");
      slices.style.gridTemplateColumns = wide.map((w) => `${w}fr`).join(" ");
      slices.style.setProperty("--pair", wide.slice(1).map((w) => `${w}fr`).join(" "));
    }

    drawSlices() { PLANES.forEach((_, k) => this.drawSlice(k)); }

    drawSlice(k) {
      const plane = PLANES[k], canvas = this.root.querySelectorAll(".plane canvas")[k], look = looks();
      const [across, up] = [this.box[plane.across], this.box[plane.up]], width = canvas.clientWidth || 300;
      const sharp = this.sharpness(), scale = (width * sharp) / (across[1] - across[0]);
      canvas.width = Math.round(width * sharp);
      canvas.height = Math.round((up[1] - up[0]) * scale);
      const pen = canvas.getContext("2d"), x = (mm) => (mm - across[0]) * scale, y = (mm) => canvas.height - (mm - up[0]) * scale;
      const at = { plane, pen, x, y, scale, sharp, look };
      this.paint(at, this.data.underlays[this.under], true, (cell, pixels, q) => this.paintGrey(cell, pixels, q));
      const kept = this.paint(at, this.data.grid, false, (cell, pixels, q) => this.paintValue(cell, pixels, q));
      if (kept) this.outline(at, kept);
      this.cross(at, canvas);
      pen.fillStyle = look.soft;
      pen.font = 12 * sharp + FONT;
      const ends = plane.across === 1 ? ["P", "A"] : ["L", "R"];
      pen.fillText(ends[0], 4 * sharp, canvas.height - 5 * sharp);
      pen.textAlign = "right";
      pen.fillText(ends[1], canvas.width - 4 * sharp, canvas.height - 5 * sharp);
      canvas.previousElementSibling.textContent = `${AXES[k]} = ${fixed(this.mm[k], 0)}`;
    }

    // Paint one slice of a grid; returns what ``put`` said of each cell, row by row, or null outside the grid.
    paint({ plane, pen, x, y, scale }, grid, smooth, put) {
      const { across, up, through } = plane, { shape, step, corner } = grid;
      const slice = Math.round((this.mm[through] - corner[through]) / step[through]);
      if (slice < 0 || slice >= shape[through]) return null;
      const [nx, ny] = [shape[across], shape[up]], stride = [shape[1] * shape[2], shape[2], 1];
      const image = new ImageData(nx, ny), said = new Uint8Array(nx * ny);
      for (let b = 0; b < ny; b++) {
        for (let a = 0; a < nx; a++) {
          said[b * nx + a] = put(a * stride[across] + b * stride[up] + slice * stride[through], image.data, ((ny - 1 - b) * nx + a) * 4);
        }
      }
      const sheet = new OffscreenCanvas(nx, ny);
      sheet.getContext("2d").putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = smooth;
      pen.imageSmoothingQuality = "high";
      const left = corner[across] - step[across] / 2, top = corner[up] + (ny - 0.5) * step[up];
      pen.drawImage(sheet, x(left), y(top), nx * step[across] * scale, ny * step[up] * scale);
      return { said, nx, ny, left, low: corner[up] - step[up] / 2, wide: step[across], tall: step[up] };
    }

    paintGrey(cell, pixels, q) {
      const level = this.grey[cell];
      if (level > 1) {
        pixels[q] = pixels[q + 1] = pixels[q + 2] = 30 + (200 * level) / this.data.underlays[this.under].greys;
        pixels[q + 3] = Math.min(255, 40 * level);
      }
      return 0;
    }

    paintValue(cell, pixels, q) {
      const i = this.index[cell];
      if (i < 0) return 0;
      const alpha = this.alpha(i);
      if (alpha > 0.02) {
        [pixels[q], pixels[q + 1], pixels[q + 2]] = this.colour(this.value(i));
        pixels[q + 3] = 255 * alpha;
      }
      return this.keeps(i);
    }

    outline({ pen, x, y, sharp, look }, { said, nx, ny, left, low, wide, tall }) {
      const kept = (a, b) => (a >= 0 && b >= 0 && a < nx && b < ny ? said[b * nx + a] : 0);
      pen.beginPath();
      for (let b = 0; b <= ny; b++) {
        for (let a = 0; a <= nx; a++) {
          const [px, py] = [x(left + a * wide), y(low + b * tall)];
          if (kept(a, b) !== kept(a - 1, b)) { pen.moveTo(px, py); pen.lineTo(px, y(low + (b + 1) * tall)); }
          if (kept(a, b) !== kept(a, b - 1)) { pen.moveTo(px, py); pen.lineTo(x(left + (a + 1) * wide), py); }
        }
      }
      pen.strokeStyle = look.edge;
      pen.lineWidth = 1.2 * sharp;
      pen.stroke();
    }

    cross({ plane, pen, x, y, sharp, look }, { width, height }) {
      const [cx, cy, gap] = [x(this.mm[plane.across]), y(this.mm[plane.up]), 7 * sharp];
      pen.beginPath();
      for (const [a, b, c, d] of [[cx, 0, cx, cy - gap], [cx, cy + gap, cx, height], [0, cy, cx - gap, cy], [cx + gap, cy, width, cy]]) {
        pen.moveTo(a, b);
        pen.lineTo(c, d);
      }
      pen.strokeStyle = look.cross;
      pen.lineWidth = sharp;
      pen.stroke();
    }

    // ---- cortex
    frameOf(side) {
      let [right, up, eye] = SIGHTS[this.sight][side];
      const mirrored = side || this.sight === "back" || this.sight === "front" ? 1 : -1;
      const turn = (a, b, degrees) => {
        const c = Math.cos((degrees * Math.PI) / 180), s = Math.sin((degrees * Math.PI) / 180);
        return [a.map((v, k) => v * c - b[k] * s), a.map((v, k) => v * s + b[k] * c)];
      };
      [right, eye] = turn(right, eye, mirrored * this.yaw);
      [up, eye] = turn(up, eye, this.pitch);
      return { right, up, eye };
    }

    sideAt(column) { return this.sight === "front" ? 1 - column : column; }

    colourCortex() {
      if (!this.cortex) return;
      const { folds, n } = this.cortex, bright = looks().cortex;
      this.paintOf ??= new Uint8Array(6 * n);
      for (let j = 0; j < 2 * n; j++) {
        const grey = clamp(205 - 3.5 * (folds[j] - 128), 95, 235) * bright, point = this.vertices[j] - 1;
        let alpha = point < 0 ? 0 : this.alpha(point);
        if (alpha < this.opacity) alpha *= 0.6;
        const colour = alpha > 0.02 ? this.colour(this.value(point)) : null;
        for (let k = 0; k < 3; k++) this.paintOf[3 * j + k] = colour ? colour[k] * alpha + grey * (1 - alpha) : grey;
      }
      this.stale = true;
    }

    drawCortex(quick = false) {
      this.$(".cortex").hidden = this.$(".cortex-bar").hidden = !this.cortex;
      if (!this.cortex) return;
      const canvas = this.$(".surface"), sharp = quick ? 1 : this.sharpness();
      const width = Math.round((canvas.clientWidth || 800) * sharp), height = Math.round((width * 262) / 800);
      const state = [width, this.sight, this.yaw, this.pitch].join();
      const scale = Math.min(width / 2 / 226, height / 156);
      if (this.stale || this.drawn !== state) {
        Object.assign(canvas, { width, height });
        const begun = performance.now();
        this.raster(canvas, scale);
        Object.assign(this, { drawn: state, stale: false });
        canvas.dataset.ms = (performance.now() - begun).toFixed(1);
      }
      this.markCortex(width, height, scale, sharp);
    }

    // Orthographic, nearest in front; for every pixel the vertex that a click means.
    raster(canvas, scale) {
      const { width, height } = canvas, { n, sides } = this.cortex, colours = this.paintOf;
      const image = new ImageData(width, height), pixels = image.data;
      const depth = new Float32Array(width * height).fill(-1e9), hits = new Int32Array(width * height).fill(-1);
      const [px, py, pz, light] = [0, 1, 2, 3].map(() => new Float32Array(n));
      for (let column = 0; column < 2; column++) {
        const side = this.sideAt(column), { spots, normals, faces, turn } = sides[side], { right, up, eye } = this.frameOf(side);
        const first = side * n, left = (column * width) / 2, end = left + width / 2 - 1;
        for (let i = 0; i < n; i++) {
          px[i] = (width * (column + 0.5)) / 2 + scale * dot(spots, right, 3 * i);
          py[i] = height / 2 - scale * dot(spots, up, 3 * i);
          pz[i] = dot(spots, eye, 3 * i);
          light[i] = 0.45 + 0.55 * Math.max(0, dot(normals, eye, 3 * i));
        }
        const hand = Math.sign(dot([right[1] * up[2] - right[2] * up[1], right[2] * up[0] - right[0] * up[2], right[0] * up[1] - right[1] * up[0]], eye));
        for (let f = 0; f < faces.length; f += 3) {
          const a = faces[f], b = faces[f + 1], c = faces[f + 2];
          const ax = px[a], ay = py[a], ux = px[b] - ax, uy = py[b] - ay, vx = px[c] - ax, vy = py[c] - ay, area = ux * vy - uy * vx;
          // Rows count downwards: what faces the eye has a negative area.
          if (area * turn * hand >= -1e-9) continue;
          const x0 = Math.max(left, Math.ceil(Math.min(ax, ax + ux, ax + vx) - 0.5)), x1 = Math.min(end, Math.floor(Math.max(ax, ax + ux, ax + vx) + 0.5));
          const y0 = Math.max(0, Math.ceil(Math.min(ay, ay + uy, ay + vy) - 0.5)), y1 = Math.min(height - 1, Math.floor(Math.max(ay, ay + uy, ay + vy) + 0.5));
          const i = 3 * (first + a), j = 3 * (first + b), k = 3 * (first + c);
          for (let y = y0; y <= y1; y++) {
            let wb = ((x0 - ax) * vy - (y - ay) * vx) / area, wc = (ux * (y - ay) - uy * (x0 - ax)) / area;
            for (let x = x0, at = y * width + x0; x <= x1; x++, at++, wb += vy / area, wc -= uy / area) {
              const wa = 1 - wb - wc;
              if (wa < -0.02 || wb < -0.02 || wc < -0.02) continue;
              const z = wa * pz[a] + wb * pz[b] + wc * pz[c];
              if (z <= depth[at]) continue;
              depth[at] = z;
              hits[at] = first + (wa >= wb && wa >= wc ? a : wb >= wc ? b : c);
              const shade = wa * light[a] + wb * light[b] + wc * light[c];
              for (let rgb = 0; rgb < 3; rgb++) pixels[4 * at + rgb] = (wa * colours[i + rgb] + wb * colours[j + rgb] + wc * colours[k + rgb]) * shade;
              pixels[4 * at + 3] = 255;
            }
          }
        }
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      this.hits = hits;
    }

    // The vertex at the cross-hair: the clicked one, else the first of the nearest voxels.
    nearestVertex() {
      if (this.vertex >= 0) return this.vertex;
      const here = this.mm.join();
      if (this.near?.here === here) return this.near.vertex;
      const distance = new Map();
      let best = NEAR_MM ** 2, vertex = -1;
      this.vertices.forEach((point, j) => {
        if (!point) return;
        if (!distance.has(point)) distance.set(point, this.mmOf(point - 1).reduce((sum, v, k) => sum + (v - this.mm[k]) ** 2, 0));
        if (distance.get(point) < best) { best = distance.get(point); vertex = j; }
      });
      this.near = { here, vertex };
      return vertex;
    }

    facing(vertex) {
      const { n, sides } = this.cortex, side = vertex >= n ? 1 : 0;
      return dot(sides[side].normals, this.frameOf(side).eye, 3 * (vertex - side * n));
    }

    bestSight() {
      const vertex = this.cortex ? this.nearestVertex() : -1;
      if (vertex < 0) return "outside";
      const less = { outside: 0, inside: 0.1 };
      const score = (sight) => { this.sight = sight; return this.facing(vertex) - (less[sight] ?? 0.2); };
      return Object.keys(SIGHTS).map((sight) => [score(sight), sight]).reduce((a, b) => (b[0] > a[0] ? b : a))[1];
    }

    markCortex(width, height, scale, sharp) {
      const over = this.$(".over"), look = looks(), { n, sides } = this.cortex;
      Object.assign(over, { width, height });
      const pen = over.getContext("2d");
      pen.font = 12 * sharp + FONT;
      pen.fillStyle = look.soft;
      pen.fillText(["left hemisphere", "right hemisphere"][this.sideAt(0)], 4 * sharp, 14 * sharp);
      pen.textAlign = "right";
      pen.fillText(["left hemisphere", "right hemisphere"][this.sideAt(1)], width - 4 * sharp, 14 * sharp);
      const vertex = this.nearestVertex();
      let words = "the cross-hair is not near the cortex";
      if (vertex >= 0) {
        const side = vertex >= n ? 1 : 0, { right, up } = this.frameOf(side), at = 3 * (vertex - side * n), seen = this.facing(vertex) > 0;
        pen.beginPath();
        pen.arc((width * (this.sideAt(side) + 0.5)) / 2 + scale * dot(sides[side].spots, right, at), height / 2 - scale * dot(sides[side].spots, up, at), 6 * sharp, 0, 7);
        pen.strokeStyle = look.cross;
        pen.lineWidth = 2 * sharp;
        pen.setLineDash(seen ? [] : [3 * sharp, 3 * sharp]);
        pen.stroke();
        words = seen ? "" : "the cross-hair is on the far side (dashed)";
      }
      this.$(".far").textContent = words;
      this.root.querySelectorAll(".cortex-bar button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.view === this.sight && !this.yaw && !this.pitch));
    }

    turnCortex(yaw, pitch, quick) {
      this.yaw = yaw;
      this.pitch = clamp(pitch, -90, 90);
      cancelAnimationFrame(this.turning);
      this.turning = requestAnimationFrame(() => this.drawCortex(quick));
    }

    // ---- panel
    drawPanel() {
      const point = this.pointAt(this.mm);
      AXES.forEach((axis, k) => {
        const field = this.$(`.at-${axis}`);
        if (document.activeElement !== field) field.value = fixed(this.mm[k], 0);
      });
      this.$(".panel").dataset.point = point;
      const names = point < 0 ? [] : this.namesAt(point);
      this.$(".region").textContent = point < 0 ? "outside the tested voxels" : names.find((name) => name.words)?.words ?? (names.length ? "no label" : "");
      this.$(".atlases").innerHTML = names.map(({ title, words, share }) => `<b>${esc(title)}</b> ${esc(words ? words + share : "no label")}`).join(" · ");
      this.$(".measures tbody").innerHTML = point < 0 ? "" : this.measures(point);
      this.$(".brackets").hidden = !this.$(".measures .soft");
      this.$(".rules-here").innerHTML = point < 0 ? "" : this.rulesAt(point);
      this.$(".plot").innerHTML = point >= 0 && this.rows ? this.plot(point) : "";
      this.$(".plot-note").textContent = point < 0 ? "No test here: move the cross-hair into the brain." : this.plotNote();
      this.say(`${names.find((name) => name.words)?.words ?? ""} ${place(this.mm)}${point < 0 ? ", not tested" : `, ${this.data.statistic.name} ${fixed(this.value(point), 2)}`}`);
    }

    say(words) {
      clearTimeout(this.saying);
      this.saying = setTimeout(() => { this.$(".live").textContent = words; }, 400);
    }

    namesAt(point) {
      return this.data.atlases.map((atlas, k) => {
        const [regions, percent] = this.labels[k];
        return { title: atlas.title, words: readable(atlas.names[regions[point]]), share: percent ? ` ${percent[point]} %` : "" };
      });
    }

    measures(point) {
      const { statistic, effect, size, detectable } = this.data, sizes = this.maps.slice(4), value = this.value(point);
      const sign = !this.signed ? "" : value < 0 ? "negative" : "positive", dof = (statistic.dof ?? []).concat(this.dofs ? valueOf(this.dofs, statistic.dofs, point) : []).map((d) => fixed(d, Number.isInteger(d) ? 0 : 1));
      const row = (name, words, soft) => `<tr><th scope="row">${esc(name)}</th><td>${words}${soft ? ` <span class="soft">[${soft}]</span>` : ""}</td></tr>`;
      let rows = row(statistic.name + (dof.length ? `(${dof.join(", ")})` : ""), `<b class="${sign}">${fixed(value, 2)}</b>`);
      if (effect) {
        const { y, low, high, digits } = this.estimate(point);
        rows += row(`${effect.name}${effect.unit ? `, ${effect.unit}` : ""}`, `<b>${fixed(y, digits)}</b>`, low <= high ? `${fixed(low, digits)}, ${fixed(high, digits)}` : "");
      }
      if (size) {
        const [middle, low, high] = ["values", "low", "high"].map((key, k) => size[key] && fixed(valueOf(sizes[k], size[key], point), 2));
        rows += row(size.name, middle, size.low && `${low}, ${high}`);
      }
      if (detectable) {
        const digits = this.maps[7][point], least = valueOf(this.maps[8], detectable.values, point) / 10 ** digits;
        if (least === least) rows += row("detectable here", `${fixed(least, digits)} at ${fixed(100 * detectable.power, 0)} % power`);
      }
      return rows;
    }

    // The estimate and the limits of its interval, with their digits.
    estimate(point) {
      const digits = this.maps[0][point], [y, low, high] = ["values", "low", "high"].map((key, k) => valueOf(this.maps[k + 1], this.data.effect[key], point) / 10 ** digits);
      return { y, low, high, digits, half: (high - low) / 2 };
    }

    // p of a rule at a voxel: the stored count of shuffles, or the stored digits.
    pAt(k, point) {
      const rule = this.data.rules[k], stored = this.ps[k]?.[point];
      if (stored === undefined) return null;
      if (rule.shuffles) return stored ? stored / rule.shuffles : null;
      return stored === NONE_16 ? null : stored / 10000;
    }

    // Of a rule without p: the share of active voxels in the cluster.
    shareAt(k, point) { return this.ps[k][point] === NONE_8 ? "–" : `${this.ps[k][point]} %`; }

    rulesAt(point) {
      return this.data.rules.map((rule, k) => {
        const kept = (this.survivors[point] >>> k) & 1, known = this.ps[k] !== null;
        const words = rule.share ? this.shareAt(k, point) : known ? wordsOfP(this.pAt(k, point)) : kept ? "" : "–";
        return `<div class="${k ? "" : "main "}${kept ? "kept" : ""}" data-method="${esc(rule.method)}" title="${esc(rule.title)}"><dt>${esc(rule.label)}${k ? "" : " (main)"}</dt><dd>${kept ? "✓ " : ""}<span class="p">${words}</span></dd></div>`;
      }).join("");
    }

    // ---- effects of the subjects
    plotNote() {
      const { subjects, effectsFile, effectsBytes } = this.data;
      if (!subjects) return this.data.note;
      if (this.noRows) return this.noRows;
      // A click that nobody made is none to wait for on paper.
      if (!this.rows) return effectsFile && !printing ? `The effects of the subjects (${fixed(effectsBytes / 1e6, 0)} MB in ${effectsFile}) are read at the first click.` : "";
      return subjects.note;
    }

    effectOf(row, point) {
      const [codes, start, span] = this.rows, code = codes[row * start.length + point], { step } = this.data.subjects.start;
      return code === NONE_8 ? NaN : (start[point] + (code / TOP_8) * span[point]) * step;
    }

    plot(point) {
      const { subjects, effect } = this.data;
      const rows = subjects.names.map((name, k) => ({
        name, y: this.effectOf(k, point), group: subjects.group[k], cell: subjects.cell[k], x: subjects.covariate?.[k],
      })).filter((row) => Number.isFinite(row.y));
      if (!rows.length) return "";
      const kind = subjects.covariate ? "scatter" : subjects.cells.length ? "cells" : "strip";
      return new Plot(subjects, rows, effect && this.estimate(point), effect?.name ?? "")[kind]();
    }

    // ---- controls
    offerChoices() {
      const { statistic, words, limit } = this.data;
      this.offerRules();
      this.layers.forEach((data, k) => this.$(".layer").add(new Option(data.layer, k)));
      this.$(".layer-label").hidden = this.layers.length < 2;
      this.$(".cut-name").textContent = this.bars + statistic.name + this.bars;
      this.$(".cut").setAttribute("aria-label", `Own threshold in ${statistic.name}`);
      this.$(".cut").max = limit;
      this.$(".cut-p-label").hidden = !statistic.curve;
      this.$(".cut-p-name").textContent = this.signed ? "one-sided p" : "p";
      this.$(".cut-p").setAttribute("aria-label", `Own threshold as an uncorrected p${this.sides}`);
      this.$(".faded").checked = this.faded;
      this.data.underlays.forEach((under, k) => this.$(".under").add(new Option(under.name, k)));
      this.$(".under-label").hidden = this.data.underlays.length < 2;
      this.$(".low").textContent = this.signed ? `${statistic.name} ${fixed(-limit, 1)} ${words[1]}` : `${statistic.name} 0`;
      this.$(".high").textContent = this.signed ? `+${fixed(limit, 1)} ${words[0]}` : fixed(limit, 1);
      this.describe();
    }

    describe() {
      const { subjects } = this.data;
      this.$(".about").textContent = `Voxels are drawn as they were tested, not interpolated; ${this.data.vertices ? "the cortex (fsaverage5) shows the strongest value across its thickness; " : ""}` +
        `anatomy: ${this.data.underlays[this.under].name}.${subjects ? ` Subjects' effects are stored in 8 bits (${fixed(subjects.bytes / 1e6, 1)} MB; largest error ${fixed(100 * subjects.error, 1)} % of the standard deviation between subjects).` : ""}`;
    }

    offerRules() {
      const { rules } = this.data;
      const options = rules.map((rule, k) => new Option(`${k ? "" : "Main: "}${rule.label} (${rule.n} voxel${rule.n === 1 ? "" : "s"})`, k));
      this.$(".rule").replaceChildren(...options, new Option("own height threshold", -1));
      this.$(".rule").value = this.rule;
    }

    showCut() {
      const { statistic, rules } = this.data, rule = rules[this.rule], { curve, nullMax } = statistic;
      if (rule?.cutoff) this.cut = rule.cutoff;
      const fields = [this.$(".cut"), this.$(".cut-value"), this.$(".cut-p")];
      const p = curve ? 10 ** between(curve.at, curve.logp, this.cut) : null;
      [this.cut, fixed(this.cut, 2), wordsOfP(p)].forEach((value, k) => { if (document.activeElement !== fields[k]) fields[k].value = rule && !rule.cutoff && k ? "" : value; });
      let n = rule?.n ?? 0, words = "";
      if (!rule) {
        for (let i = 0; i < this.map.length; i++) n += this.keeps(i);
        words = `${this.bars}${statistic.name}${this.bars} ≥ ${fixed(this.cut, 2)}`;
        if (p !== null) words += `, uncorrected p ${wordsOfP(p)}${this.sides}`;
        if (nullMax) words += `, corrected (height) p ${wordsOfP(nullMax.filter((v) => v >= this.cut - 1e-3).length / nullMax.length)}`;
        words += ": ";
      }
      this.$(".count").textContent = `${words}${n} voxel${n === 1 ? "" : "s"}`;
      this.$(".count").title = rule?.title ?? "";
      this.drawColours(rule ? rule.cutoff : this.cut);
    }

    drawColours(cut) {
      const canvas = this.$(".colours"), pen = canvas.getContext("2d"), { limit } = this.data, { width, height } = canvas;
      for (let x = 0; x < width; x++) {
        const value = this.signed ? ((2 * x) / width - 1) * limit : (x / width) * limit;
        pen.fillStyle = `rgb(${this.colour(value)})`;
        pen.fillRect(x, 0, 1, height);
        if (Math.abs(value) < cut) { pen.fillStyle = "rgba(127,127,127,.8)"; pen.fillRect(x, 0, 1, height); }
      }
    }

    choose(rule) {
      this.rule = rule;
      this.$(".rule").value = rule;
      this.changed();
    }

    cutAt(value) {
      this.cut = value;
      this.choose(-1);
    }

    // Say beside a field why what was typed is not taken, and put back what holds; "" takes it.
    refuse(field, why) {
      const note = field.closest(".linked-bar").querySelector(".refused");
      note.textContent = why && `${field.value.trim() || "nothing"}: ${why}`;
      note.hidden = !why;
      if (!why) return false;
      field.blur();
      this.showCut();
      this.drawPanel();
      return true;
    }

    changed() {
      this.showCut();
      this.colourCortex();
      this.draw();
    }

    listen() {
      const on = (selector, event, act) => this.$(selector).addEventListener(event, act);
      const number = (words) => Number(String(words).trim().replace("−", "-").replace(/^< */, "") || NaN);
      on(".layer", "change", (e) => this.chooseLayer(Number(e.target.value)));
      on(".rule", "change", (e) => this.choose(Number(e.target.value)));
      on(".rule", "change", (e) => this.refuse(e.target, ""));
      on(".cut", "input", (e) => { this.refuse(e.target, ""); this.cutAt(Number(e.target.value)); });
      on(".cut-value", "change", (e) => {
        const value = number(e.target.value), top = this.map.reduce((most, v) => Math.max(most, Math.abs(v)), 0) * this.data.statistic.map.step;
        if (!this.refuse(e.target, value >= 0 && value <= top ? "" : `no number from 0 to ${fixed(top, 2)}, the largest of the map`)) this.cutAt(value);
      });
      on(".cut-p", "change", (e) => {
        const { at, logp } = this.data.statistic.curve, p = number(e.target.value), [least, most] = [10 ** logp.at(-1), 10 ** logp[0]];
        const why = p > most || !(p > 0) ? `no p above 0, up to ${wordsOfP(most)}` : p < least ? `below the smallest p of the map, ${least.toPrecision(2)}` : "";
        if (!this.refuse(e.target, why)) this.cutAt(between(logp.map((v) => -v), at, -Math.log10(p)));
      });
      on(".faded", "change", (e) => { this.faded = e.target.checked; this.changed(); });
      on(".opacity", "input", (e) => { this.opacity = Number(e.target.value); this.changed(); });
      on(".under", "change", async (e) => { await this.chooseUnder(Number(e.target.value)); this.describe(); this.draw(); });
      on(".previous", "click", () => this.step(-1));
      on(".next", "click", () => this.step(1));
      on(".copy", "click", () => navigator.clipboard?.writeText(this.mm.map((v) => Math.round(v)).join(" ")).then(() => this.say("copied")));
      AXES.forEach((axis, k) => on(`.at-${axis}`, "change", (e) => {
        const typed = e.target.value.replaceAll("−", "-").match(/-?\d+(\.\d+)?/g)?.map(Number) ?? [];
        const mm = typed.length > 2 ? typed.slice(0, 3) : this.mm.map((v, j) => (j === k ? typed[0] : v));
        const out = AXES.findIndex((_, j) => !(mm[j] >= this.box[j][0] && mm[j] <= this.box[j][1]));
        const why = !typed.length ? "no coordinate in mm" : out < 0 ? "" : `${AXES[out]} goes from ${this.box[out].map((v) => fixed(v, 0)).join(" to ")} mm`;
        if (this.refuse(e.target, why)) return;
        e.target.blur();
        this.go(mm);
      }));
      this.root.querySelectorAll(".cortex-bar button").forEach((button) => button.addEventListener("click", () => {
        this.sight = button.dataset.view;
        this.turnCortex(0, 0);
      }));
      this.root.querySelectorAll(".plane canvas").forEach((canvas, k) => this.listenSlice(canvas, PLANES[k]));
      this.listenCortex(this.$(".surface"));
      this.root.addEventListener("focusin", () => { View.active = this; });
    }

    listenSlice(canvas, plane) {
      const move = (e) => {
        const box = canvas.getBoundingClientRect(), mm = this.mm.slice(), [across, up] = [this.box[plane.across], this.box[plane.up]];
        mm[plane.across] = across[0] + ((e.clientX - box.left) / box.width) * (across[1] - across[0]);
        mm[plane.up] = up[1] - ((e.clientY - box.top) / box.height) * (up[1] - up[0]);
        this.go(mm);
      };
      canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); canvas.focus({ preventScroll: true }); move(e); });
      canvas.addEventListener("pointermove", (e) => { if (e.buttons) move(e); });
      canvas.addEventListener("keydown", (e) => {
        const key = {
          ArrowLeft: [plane.across, -1], ArrowRight: [plane.across, 1], ArrowUp: [plane.up, 1], ArrowDown: [plane.up, -1],
          PageUp: [plane.through, 1], PageDown: [plane.through, -1],
        }[e.key];
        if (!key) return;
        e.preventDefault();
        const mm = this.mm.slice();
        mm[key[0]] += key[1] * this.data.grid.step[key[0]] * (e.shiftKey ? 4 : 1);
        this.go(mm);
      });
    }

    listenCortex(canvas) {
      let held = null;
      canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); held = { x: e.clientX, y: e.clientY, yaw: this.yaw, pitch: this.pitch, turned: false }; });
      canvas.addEventListener("pointermove", (e) => {
        if (!held) return;
        const [dx, dy] = [e.clientX - held.x, e.clientY - held.y];
        held.turned ||= Math.hypot(dx, dy) > 4;
        if (held.turned) this.turnCortex(held.yaw - dx / 2, held.pitch + dy / 2, true);
      });
      const release = (e) => {
        if (held?.turned) this.turnCortex(this.yaw, this.pitch); else if (held && e.type === "pointerup") this.pick(canvas, e);
        held = null;
      };
      canvas.addEventListener("pointerup", release);
      canvas.addEventListener("pointercancel", release);
      canvas.addEventListener("keydown", (e) => {
        const turn = { ArrowLeft: [15, 0], ArrowRight: [-15, 0], ArrowUp: [0, -15], ArrowDown: [0, 15] }[e.key];
        if (!turn) return;
        e.preventDefault();
        this.turnCortex(this.yaw + turn[0], this.pitch + turn[1]);
      });
    }

    pick(canvas, e) {
      const box = canvas.getBoundingClientRect();
      const x = Math.floor(((e.clientX - box.left) / box.width) * canvas.width), y = Math.floor(((e.clientY - box.top) / box.height) * canvas.height);
      const vertex = this.hits[y * canvas.width + x] ?? -1, point = vertex < 0 ? -1 : this.vertices[vertex] - 1;
      if (point >= 0) this.go(this.mmOf(point), vertex);
    }

    // ---- tables
    tableRows() { return [...this.section.querySelectorAll("tr[data-x]")]; }

    async goToRow(row) {
      await this.start();
      if (!this.root) return;
      const method = row.closest("[data-method]")?.dataset.method, k = this.data.rules.findIndex((rule) => rule.method === method);
      if (k >= 0 && k !== this.rule) this.choose(k);
      this.go(AXES.map((axis) => Number(row.dataset[axis])));
      this.$(".linked-main").scrollIntoView({ block: "nearest" });
    }

    step(by) {
      const method = this.data.rules[this.rule]?.method;
      const shown = this.tableRows().filter((row) => row.offsetParent), own = shown.filter((row) => row.closest("[data-method]")?.dataset.method === method && row.closest(".peaks"));
      const rows = own.length ? own : shown;
      if (!rows.length) return;
      const at = rows.findIndex((row) => row.classList.contains("chosen"));
      this.goToRow(rows[at < 0 ? 0 : (at + by + rows.length) % rows.length]);
    }

    markRows() {
      const point = this.pointAt(this.mm);
      for (const row of this.tableRows()) row.classList.toggle("chosen", point >= 0 && this.pointAt(AXES.map((axis) => Number(row.dataset[axis]))) === point);
    }
  }

  // ---- the subjects' effects at a voxel, as SVG
  class Plot {
    constructor(subjects, rows, tested, name) {
      Object.assign(this, { subjects, rows, tested, name, width: 366, height: 236, left: 48, right: 8, top: 10, bottom: 36, parts: [] });
    }

    // The t of a 95 % interval of n values.
    t(n) { return this.subjects.quantiles[n - 2] ?? NaN; }

    mean(values) { return values.reduce((sum, v) => sum + v, 0) / values.length; }

    spread(values) { const m = this.mean(values); return Math.sqrt(values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1)); }

    put(svg) { this.parts.push(svg); }

    line(x1, y1, x2, y2, look = "") { this.put(`<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" fill="none" stroke="currentColor" ${look}/>`); }

    text(x, y, words, look = "") { this.put(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="11" text-anchor="middle" ${look}>${esc(words)}</text>`); }

    scale(more = []) {
      const values = [0, ...this.rows.map((row) => row.y), ...more.filter(Number.isFinite)], low = Math.min(...values), high = Math.max(...values), pad = 0.06 * (high - low || 1);
      const base = this.height - this.bottom;
      this.y = (v) => base - ((v - low + pad) / (high - low + 2 * pad)) * (base - this.top);
      const { found, digits } = ticks(low - pad, high + pad, 5);
      for (const v of found) {
        this.line(this.left, this.y(v), this.width - this.right, this.y(v), `stroke-opacity="${v ? 0.16 : 0.9}" stroke-width="${v ? 0.8 : 1}"`);
        this.text(this.left - 5, this.y(v) + 4, fixed(v, digits), 'style="text-anchor:end"');
      }
      this.put(`<text transform="translate(11 ${(this.top + base) / 2}) rotate(-90)" font-size="11.5" text-anchor="middle">${esc(this.subjects.unit || "effect")}</text>`);
    }

    // Groups differ in shape, colour and dash.
    colour(group) { return `var(--g${(group % 4) + 1})`; }

    dash(group) { return group % 2 ? 'stroke-dasharray="5 4"' : ""; }

    dot(row, x) {
      const words = [row.name, this.subjects.cells[row.cell], row.x !== undefined && `${this.subjects.axis} ${readableNumber(row.x)}`].filter(Boolean).join(", ");
      this.mark(row.group, x, this.y(row.y), 'class="dot"', `<title>${esc(words)}: ${fixed(row.y, 3)}</title>`);
    }

    mark(group, x, y, look = "", inner = "") {
      const c = this.colour(group), shape = [
        `<circle cx="0" cy="0" r="4.2" fill="${c}" fill-opacity=".75"`, '<path d="M-4.8 3.8h9.6L0-4.8z" fill="var(--panel)" stroke-width="1.8"',
        `<path d="M-3.7-3.7h7.4v7.4h-7.4z" fill="${c}" fill-opacity=".6"`, '<path d="M0-5.2L5.2 0 0 5.2-5.2 0z" fill="var(--panel)" stroke-width="1.8"',
      ][group % 4];
      this.put(`${shape} ${look} stroke="${c}" transform="translate(${x.toFixed(1)} ${y.toFixed(1)})">${inner}</${group % 4 ? "path" : "circle"}>`);
    }

    interval(x, middle, half, look) {
      if (Number.isFinite(half) && half > 0) this.line(x, this.y(middle - half), x, this.y(middle + half), `${look} stroke-width="2.4"`);
      this.line(x - 6, this.y(middle), x + 6, this.y(middle), `${look} stroke-width="2.4"`);
    }

    label(x, room, words, tilted) {
      const most = Math.max(3, Math.floor((tilted ? 84 : room) / 6.2)), shown = words.length > most ? `${words.slice(0, most - 1)}…` : words, y = this.height - this.bottom + 15;
      if (tilted) this.put(`<text transform="translate(${x.toFixed(1)} ${y - 4}) rotate(-40)" font-size="10.5" text-anchor="end">${esc(shown)}<title>${esc(words)}</title></text>`);
      else this.put(`<text x="${x.toFixed(1)}" y="${y}" font-size="11" text-anchor="middle">${esc(shown)}<title>${esc(words)}</title></text>`);
    }

    // The estimate with its interval, counted from the mean that it is a difference to.
    effect(x, room, base, tilted) {
      const { tested } = this;
      if (!tested) return;
      const at = base + tested.y;
      if (base) this.line(this.left + 10, this.y(base), x + 20, this.y(base), 'stroke-opacity=".6" stroke-dasharray="2 3"');
      if (tested.half) this.line(x, this.y(at - tested.half), x, this.y(at + tested.half), 'stroke-width="2.6"');
      this.put(`<circle cx="${x.toFixed(1)}" cy="${this.y(at).toFixed(1)}" r="4.5" fill="currentColor"/>`);
      this.put(`<text x="${(x + 8).toFixed(1)}" y="${(this.y(at) + 4).toFixed(1)}" font-size="12" font-weight="600">${fixed(tested.y, tested.digits)}</text>`);
      this.label(x, room, this.name, tilted);
    }

    ends(base) { return this.tested ? [base + this.tested.y - this.tested.half, base + this.tested.y + this.tested.half] : []; }

    slots(n) {
      const room = (this.width - this.left - this.right - (this.tested ? 34 : 0)) / n;
      return { room, at: (k) => this.left + room * (k + 0.5) };
    }

    svg(about) {
      return `<svg viewBox="0 0 ${this.width} ${this.height}" role="img" aria-label="${esc(about)}">${this.parts.join("")}</svg>`;
    }

    strip() {
      const { subjects } = this, groups = subjects.groups.map((_, g) => this.rows.filter((row) => row.group === g)), from = subjects.from;
      const base = from === null || !groups[from]?.length ? 0 : this.mean(groups[from].map((row) => row.y));
      this.scale(this.ends(base));
      const { room, at } = this.slots(groups.length + (this.tested ? 1 : 0));
      groups.forEach((rows, g) => {
        if (!rows.length) return;
        [...rows].sort((a, b) => a.y - b.y).forEach((row, rank) => this.dot(row, at(g) - 8 + ((rank % 3) - 1) * Math.min(11, room / 8)));
        const values = rows.map((row) => row.y);
        // The mean of one group is what is tested, which stands beside.
        if (groups.length > 1 || !this.tested) this.interval(at(g) + Math.min(26, room / 3.2), this.mean(values), (this.t(values.length) * this.spread(values)) / Math.sqrt(values.length), `style="stroke:${this.colour(g)}"`);
        this.label(at(g), room, `${subjects.groups[g] || "subjects"} (${rows.length})`);
      });
      this.effect(at(groups.length), room, base);
      return this.svg(`Effect of each subject${groups.length > 1 ? " by group" : ""}, with means and 95 % intervals`);
    }

    // Whether a line goes from a cell to another: over the levels of the last factor.
    joins(a, b) { return Math.floor(a / this.subjects.joined) === Math.floor(b / this.subjects.joined); }

    // Lines of subjects over cells; intervals within subjects (Cousineau, Morey's correction).
    cells() {
      const { subjects } = this, n = subjects.cells.length, tilted = n > 3, from = subjects.from;
      if (tilted) this.bottom = 70;
      if (subjects.groups.length > 1) this.top = 24;
      const cell = (c, g) => this.rows.filter((row) => row.cell === c && (g === undefined || row.group === g));
      const base = from === null || !cell(from).length ? 0 : this.mean(cell(from).map((row) => row.y));
      this.scale(this.ends(base));
      const { room, at } = this.slots(n + (this.tested ? 1 : 0)), shift = (g) => (g - (subjects.groups.length - 1) / 2) * Math.min(9, room / 4);
      const byName = new Map();
      for (const row of this.rows) byName.set(row.name, [...(byName.get(row.name) ?? []), row]);
      const all = this.mean(this.rows.map((row) => row.y));
      for (const [name, rows] of byName) {
        rows.sort((a, b) => a.cell - b.cell);
        const own = this.mean(rows.map((row) => row.y)), path = rows.map((row, k) => `${k && this.joins(rows[k - 1].cell, row.cell) ? "L" : "M"}${(at(row.cell) + shift(row.group)).toFixed(1)} ${this.y(row.y).toFixed(1)}`).join("");
        for (const row of rows) row.within = row.y - own + all;
        this.put(`<path class="subject" d="${path}" fill="none" style="stroke:${this.colour(rows[0].group)}" ${this.dash(rows[0].group)}><title>${esc(name)}</title></path>`);
      }
      subjects.groups.forEach((_, g) => {
        let path = "", before = -1;
        for (let c = 0; c < n; c++) {
          const rows = cell(c, g);
          if (!rows.length) continue;
          const mean = this.mean(rows.map((row) => row.y)), x = at(c) + shift(g), look = `style="stroke:${this.colour(g)}"`;
          this.interval(x, mean, (this.t(rows.length) * this.spread(rows.map((row) => row.within)) * Math.sqrt(n / (n - 1))) / Math.sqrt(rows.length), look);
          path += `${path && this.joins(before, c) ? "L" : "M"}${x.toFixed(1)} ${this.y(mean).toFixed(1)}`;
          before = c;
        }
        this.put(`<path d="${path}" fill="none" style="stroke:${this.colour(g)}" stroke-width="2.2" ${this.dash(g)}/>`);
      });
      subjects.cells.forEach((name, c) => this.label(at(c), room, name, tilted));
      this.effect(at(n), room, base, tilted);
      if (subjects.groups.length > 1) this.legend();
      return this.svg("Effect of each subject in each condition, with means and 95 % intervals within subjects");
    }

    legend(dots) {
      this.subjects.groups.forEach((name, group) => {
        const x = this.left + 6 + group * 120;
        this.line(x, 8, x + 22, 8, `style="stroke:${this.colour(group)}" stroke-width="2.2" ${this.dash(group)}`);
        if (dots) this.mark(group, x + 11, 8);
        this.put(`<text x="${x + 27}" y="12" font-size="11">${esc(name.slice(0, 14))}</text>`);
      });
    }

    // The tested slope through the mean, of one group with its 95 % band; or the fit of each group.
    scatter() {
      const { subjects, rows, tested } = this, { groups, ownSlopes } = subjects;
      if (groups.length > 1) this.top = 24;
      const xs = rows.map((row) => row.x), low = Math.min(...xs), high = Math.max(...xs), pad = 0.05 * (high - low || 1);
      this.scale();
      const across = (v) => this.left + ((v - low + pad) / (high - low + 2 * pad)) * (this.width - this.left - this.right), base = this.height - this.bottom;
      const point = (x, y) => `${across(x).toFixed(1)} ${clamp(this.y(y), this.top, base).toFixed(1)}`;
      groups.forEach((_, g) => {
        const own = rows.filter((row) => row.group === g), at = own.map((row) => row.x);
        if (!own.length || !(tested || ownSlopes)) return;
        const [mx, my] = [this.mean(at), this.mean(own.map((row) => row.y))], [from, to] = [Math.min(...at), Math.max(...at)];
        const slope = ownSlopes ? own.reduce((sum, row) => sum + (row.x - mx) * row.y, 0) / own.reduce((sum, row) => sum + (row.x - mx) ** 2, 0) : tested.y;
        const fit = (x) => my + slope * (x - mx);
        if (groups.length === 1 && !ownSlopes && tested.half) {
          const residual = Math.sqrt(rows.reduce((sum, row) => sum + (row.y - fit(row.x)) ** 2, 0) / Math.max(rows.length - 2, 1));
          const half = (x) => Math.hypot((this.t(rows.length - 1) * residual) / Math.sqrt(rows.length), tested.half * (x - mx));
          const grid = Array.from({ length: 21 }, (_, k) => low + ((high - low) * k) / 20);
          this.put(`<path d="M${grid.map((x) => point(x, fit(x) + half(x))).join("L")}L${grid.reverse().map((x) => point(x, fit(x) - half(x))).join("L")}Z" fill="currentColor" fill-opacity=".1"/>`);
        }
        const look = groups.length > 1 ? `style="stroke:${this.colour(g)}" ${this.dash(g)}` : 'stroke="currentColor"';
        this.put(`<path class="slope" d="M${point(from, fit(from))}L${point(to, fit(to))}" ${look} stroke-width="2.4" fill="none"/>`);
      });
      rows.forEach((row) => this.dot(row, across(row.x)));
      const { found, digits } = ticks(low, high, 5);
      for (const v of found) this.text(across(v), base + 15, fixed(v, digits));
      this.text((this.left + this.width) / 2, this.height - 4, subjects.axis);
      if (subjects.groups.length > 1) this.legend(true);
      return this.svg(`Effect of each subject over ${subjects.axis}, with the tested slope`);
    }
  }

  // ---- the page
  const views = [];
  for (const script of document.querySelectorAll(".linked-view")) {
    const data = JSON.parse(script.textContent), view = views.find((each) => each.data.anchor === data.anchor);
    if (view) view.layers.push(data);
    else views.push(new View(document.querySelector(`.linked[data-anchor="${data.anchor}"]`), data));
  }
  const nearby = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) views.find((view) => view.slot === entry.target).start();
  }, { rootMargin: "300px" });
  const redraw = () => views.forEach((view) => { if (view.slot.dataset.ready) { view.colourCortex(); view.draw(true); } });
  for (const view of views) {
    nearby.observe(view.slot);
    for (const row of view.tableRows()) {
      const head = row.querySelector("th"), button = document.createElement("button");
      button.type = "button";
      button.className = "jump";
      button.textContent = head.textContent.trim();
      button.setAttribute("aria-label", `Show ${button.textContent} at ${row.dataset.x}, ${row.dataset.y}, ${row.dataset.z} mm`);
      head.replaceChildren(button);
      row.addEventListener("click", () => view.goToRow(row));
    }
  }
  addEventListener("keydown", (e) => {
    const view = View.active ?? views.find((each) => each.root);
    if (!view?.root || e.ctrlKey || e.metaKey || e.altKey || /INPUT|SELECT|TEXTAREA/.test(e.target.tagName)) return;
    if (e.key === "[" || e.key === "]") view.step(e.key === "]" ? 1 : -1);
    if (e.key === "/") { e.preventDefault(); view.$(".at-x").select(); }
  });
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 120); });
  prefersDark.addEventListener("change", redraw);
  const print = (on) => { if (printing !== on) { printing = on; redraw(); } };
  matchMedia("print").addEventListener("change", (e) => print(e.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
