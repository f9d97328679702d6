"use strict";
// The traces of one recording: all muscles under each other on one time axis; drawn when they come into view.
(() => {
  const LEFT = 124, RIGHT = 40, HEAD = 22, FOOT = 26; // margins in pixels
  const ZERO = 0.64; // of a row: the line from which estimates rise and about which the EMG swings
  const LEAST_S = 0.02; // the closest zoom

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–");

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // The arrays lie behind each other. EMG: 8 bits on a square-law scale. The rest: 16 bits, as differences, all low
  // bytes before all high bytes. The lowest code of each is a missing sample.
  function decode(described, bytes) {
    let at = 0;
    return described.map((d) => {
      const values = new Float32Array(d.n);
      if (d.kind === "raw") {
        for (let i = 0; i < d.n; i++) {
          const q = (bytes[at + i] << 24) >> 24;
          values[i] = q === -128 ? NaN : (d.peak * q * Math.abs(q)) / 16129;
        }
        at += d.n;
      } else {
        let q = 0;
        for (let i = 0; i < d.n; i++) {
          q = ((q + bytes[at + i] + 256 * bytes[at + d.n + i]) << 16) >> 16;
          values[i] = q === -32768 ? NaN : (d.peak * q) / 32767;
        }
        at += 2 * d.n;
      }
      return { ...d, values };
    });
  }

  // Round steps for the time axis.
  function steps(low, high, about) {
    const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
    return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  class Traces {
    constructor(box, header, arrays) {
      Object.assign(this, { box, header, view: [header.start, header.stop], cursor: null, drag: null });
      [this.under, this.over] = box.querySelectorAll("canvas");
      this.readout = box.querySelector(".readout");
      this.rows = header.muscles.map((muscle, index) => {
        const own = arrays.filter((a) => a.muscle === index);
        const of = (kind) => new Map(own.filter((a) => a.kind === kind).map((a) => [a.method, a]));
        return { ...muscle, index, raw: own.find((a) => a.kind === "raw"), mean: of("mean"), lower: of("lower"), upper: of("upper") };
      });
      this.listen();
      this.read();
    }

    // What is ticked.
    read() {
      const ticked = (name) => [...this.box.querySelectorAll(`input[name=${name}]:checked`)].map((i) => i.value);
      const on = (name) => ticked(name).length > 0;
      this.shown = { raw: on("raw"), band: on("band"), bursts: on("bursts"), methods: ticked("method") };
      this.visible = this.rows.filter((row) => ticked("muscle").includes(String(row.index)));
      this.resize();
    }

    resize() {
      const n = Math.max(this.visible.length, 1);
      this.row = clamp(Math.round(640 / n), 78, 300);
      this.height = HEAD + n * this.row + FOOT;
      this.width = this.box.querySelector(".plot").clientWidth;
      for (const canvas of [this.under, this.over]) {
        const scale = window.devicePixelRatio || 1;
        canvas.width = this.width * scale;
        canvas.height = this.height * scale;
        canvas.style.height = `${this.height}px`;
        canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
      }
      this.redraw();
    }

    redraw() {
      if (this.waiting) return;
      this.waiting = requestAnimationFrame(() => {
        this.waiting = null;
        this.draw();
        this.mark();
      });
    }

    get inner() {
      return this.width - LEFT - RIGHT;
    }
    x(time) {
      return LEFT + ((time - this.view[0]) / (this.view[1] - this.view[0])) * this.inner;
    }
    time(x) {
      return this.view[0] + ((x - LEFT) / this.inner) * (this.view[1] - this.view[0]);
    }

    show(start, stop) {
      const { start: first, stop: last } = this.header;
      const length = clamp(stop - start, Math.min(LEAST_S, last - first), last - first);
      const from = clamp(start, first, last - length);
      this.view = [from, from + length];
      this.redraw();
    }
    zoom(factor, about = (this.view[0] + this.view[1]) / 2) {
      this.show(about - (about - this.view[0]) * factor, about + (this.view[1] - about) * factor);
    }
    pan(share) {
      const by = share * (this.view[1] - this.view[0]);
      this.show(this.view[0] + by, this.view[1] + by);
    }

    // [x, least, largest] along a signal: every sample where there is room, else one for each pixel; null at a gap.
    columns(a) {
      const perPixel = ((this.view[1] - this.view[0]) / this.inner) * a.rate, out = [];
      const index = (time) => (time - a.start) * a.rate;
      if (perPixel <= 2) {
        const last = Math.min(a.n - 1, Math.ceil(index(this.view[1])) + 1);
        for (let i = Math.max(0, Math.floor(index(this.view[0])) - 1); i <= last; i++) {
          const v = a.values[i];
          out.push(Number.isNaN(v) ? null : [this.x(a.start + i / a.rate), v, v]);
        }
        return out;
      }
      const first = index(this.view[0]);
      for (let p = 0; p < this.inner; p++) {
        let low = Infinity, high = -Infinity;
        const stop = Math.min(a.n, Math.ceil(first + (p + 1) * perPixel));
        for (let i = Math.max(0, Math.ceil(first + p * perPixel)); i < stop; i++) {
          const v = a.values[i];
          if (v < low) low = v;
          if (v > high) high = v;
        }
        out.push(low <= high ? [LEFT + p, low, high] : null);
      }
      return out;
    }

    line(c, a, y) {
      let pen = false;
      c.beginPath();
      for (const column of this.columns(a)) {
        if (column) {
          const [x, low, high] = column;
          pen ? c.lineTo(x, y(low)) : c.moveTo(x, y(low));
          if (high !== low) c.lineTo(x, y(high));
        }
        pen = column !== null;
      }
      c.stroke();
    }

    band(c, lower, upper, y) {
      const bottom = this.columns(lower), top = this.columns(upper);
      const known = (i) => bottom[i] && top[i];
      for (let i = 0; i < top.length; i++) {
        if (!known(i)) continue;
        const from = i;
        c.beginPath();
        for (; i < top.length && known(i); i++) c.lineTo(top[i][0], y(top[i][2]));
        for (let k = i - 1; k >= from; k--) c.lineTo(bottom[k][0], y(bottom[k][1]));
        c.fill();
      }
    }

    draw() {
      const c = this.under.getContext("2d");
      const ink = colour("ink"), muted = colour("muted"), rule = colour("rule");
      const font = getComputedStyle(document.body).fontFamily;
      c.clearRect(0, 0, this.width, this.height);
      c.textBaseline = "middle";
      c.lineJoin = "round";
      this.axis(c, rule, muted, font);
      this.visible.forEach((row, i) => {
        const top = HEAD + i * this.row, zero = top + ZERO * this.row;
        const up = (v) => zero - (v / row.top) * (ZERO * this.row - 5);
        const swing = (v) => zero - (v / row.peak) * ((1 - ZERO) * this.row - 3);
        c.strokeStyle = rule;
        c.lineWidth = 1;
        this.stroke(c, [0, top], [this.width, top]);
        this.stroke(c, [LEFT, zero], [this.width - RIGHT, zero]);
        c.save();
        c.beginPath();
        c.rect(LEFT, top + 1, this.inner, this.row - 2);
        c.clip();
        this.shade(c, row, top);
        if (this.shown.raw) {
          c.strokeStyle = colour("raw");
          c.lineWidth = 0.8;
          this.line(c, row.raw, swing);
        }
        if (this.shown.bursts) {
          c.fillStyle = ink;
          for (const [m, on, off] of this.header.bursts)
            if (m === row.index) c.fillRect(this.x(on), top + this.row - 6, Math.max(1, this.x(off) - this.x(on)), 3);
        }
        for (const [method, mean] of row.mean) {
          if (!this.shown.methods.includes(method)) continue;
          const own = this.hue(method);
          if (this.shown.band && row.lower.has(method)) {
            c.fillStyle = own;
            c.globalAlpha = 0.2;
            this.band(c, row.lower.get(method), row.upper.get(method), up);
            c.globalAlpha = 1;
          }
          c.strokeStyle = own;
          c.lineWidth = 1.5;
          c.setLineDash(method === "truth" ? [5, 3] : []);
          this.line(c, mean, up);
          c.setLineDash([]);
        }
        c.restore();
        this.labels(c, row, top, zero, up, { ink, muted, font });
      });
    }

    hue(method) {
      const label = [...this.box.querySelectorAll("input[name=method]")].find((i) => i.value === method);
      return getComputedStyle(label.parentElement).getPropertyValue("--own").trim();
    }

    stroke(c, ...points) {
      c.beginPath();
      points.forEach(([x, y]) => c.lineTo(Math.round(x) + 0.5, Math.round(y) + 0.5));
      c.stroke();
    }

    shade(c, row, top) {
      for (const [m, start, stop, why] of this.header.masked) {
        if (m !== row.index) continue;
        const from = Math.max(this.x(start), LEFT), to = Math.min(this.x(stop), this.width - RIGHT);
        c.fillStyle = colour("shade");
        c.globalAlpha = 0.75;
        c.fillRect(from, top, Math.max(to - from, 1), this.row);
        c.globalAlpha = 1;
        c.fillStyle = colour("masked");
        if (to - from > 8 * why.length) c.fillText(`left out: ${why}`, from + 6, top + 11);
      }
    }

    labels(c, row, top, zero, up, { ink, muted, font }) {
      c.textAlign = "left";
      c.fillStyle = ink;
      c.font = `600 12.5px ${font}`;
      c.fillText(row.label, 0, top + 16, LEFT - 8);
      c.fillStyle = muted;
      c.font = `11px ${font}`;
      if (this.shown.raw) c.fillText(`EMG ±${short(row.peak)} ${this.header.unit}`, 0, top + 33, LEFT - 8);
      if (!row.mean.size) return;
      const mark = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].filter((v) => v <= row.top / 1.15).pop();
      c.fillText("0", this.width - RIGHT + 5, zero);
      if (mark) c.fillText(String(mark), this.width - RIGHT + 5, up(mark));
    }

    axis(c, rule, muted, font) {
      const bottom = HEAD + Math.max(this.visible.length, 1) * this.row;
      const { ticks, digits } = steps(...this.view, this.inner / 90);
      c.font = `11px ${font}`;
      c.fillStyle = muted;
      c.strokeStyle = rule;
      c.lineWidth = 1;
      c.textAlign = "center";
      for (const tick of ticks) {
        this.stroke(c, [this.x(tick), bottom], [this.x(tick), bottom + 5]);
        c.fillText(tick.toFixed(digits), this.x(tick), bottom + 15);
      }
      c.textAlign = "left";
      c.fillText("s", this.width - RIGHT + 5, bottom + 15);
      const whole = this.header.stop - this.header.start, at = (time) => LEFT + ((time - this.header.start) / whole) * this.inner;
      if (this.view[1] - this.view[0] < whole) // where in the recording this is
        c.fillRect(at(this.view[0]), this.height - 3, Math.max(4, at(this.view[1]) - at(this.view[0])), 3);
      this.stroke(c, [0, bottom], [this.width, bottom]);
      let free = -Infinity; // where the last label ends
      for (const [time, label, side] of this.header.events) {
        const x = this.x(time), text = [side[0]?.toUpperCase(), label].filter(Boolean).join(" ");
        if (x < LEFT || x > this.width - RIGHT) continue;
        c.setLineDash(side === "left" ? [2, 3] : []);
        this.stroke(c, [x, HEAD - 4], [x, bottom]);
        c.setLineDash([]);
        if (x > free) {
          c.fillText(text, x + 2, HEAD - 11);
          free = x + c.measureText(text).width + 8;
        }
      }
    }

    // The cursor, the stretch that is being chosen, and the values under the cursor.
    mark() {
      const c = this.over.getContext("2d");
      c.clearRect(0, 0, this.width, this.height);
      if (this.drag && !this.drag.pan && this.cursor) {
        c.fillStyle = colour("link");
        c.globalAlpha = 0.15;
        c.fillRect(this.drag.x, HEAD, this.cursor.x - this.drag.x, this.height - HEAD - FOOT);
        c.globalAlpha = 1;
      }
      const row = this.cursor && this.visible[Math.floor((this.cursor.y - HEAD) / this.row)];
      const inside = row && this.cursor.x >= LEFT && this.cursor.x <= this.width - RIGHT;
      this.readout.hidden = !inside;
      if (!inside) return;
      c.strokeStyle = colour("cursor");
      c.globalAlpha = 0.5;
      this.stroke(c, [this.cursor.x, HEAD], [this.cursor.x, this.height - FOOT]);
      c.globalAlpha = 1;
      this.tell(row);
    }

    tell(row) {
      const time = this.time(this.cursor.x), at = (a) => a.values[Math.round((time - a.start) * a.rate)] ?? NaN;
      const lines = [["", `${row.label}, ${time.toFixed(3)} s`], [colour("raw"), `EMG ${short(at(row.raw))} ${this.header.unit}`]];
      for (const [method, mean] of row.mean) {
        if (!this.shown.methods.includes(method)) continue;
        const bounds = [row.lower, row.upper].map((m) => (m.has(method) ? at(m.get(method)) : NaN));
        const range = bounds.some(Number.isNaN) ? "" : ` (${bounds.map((v) => v.toFixed(3)).join(" to ")})`;
        lines.push([this.hue(method), `${method} ${at(mean).toFixed(3).replace("NaN", "–")}${range}`]);
      }
      this.readout.replaceChildren(
        ...lines.map(([own, text]) => {
          const line = document.createElement("div");
          if (own) line.append(document.createElement("i"));
          line.style.setProperty("--own", own);
          line.append(text);
          return line;
        }),
      );
      const wide = this.readout.offsetWidth, right = this.cursor.x + 14 + wide < this.width;
      this.readout.style.left = `${right ? this.cursor.x + 14 : this.cursor.x - 14 - wide}px`;
      this.readout.style.top = `${clamp(this.cursor.y + 12, 0, this.height - this.readout.offsetHeight)}px`;
    }

    act(what) {
      const acts = { left: () => this.pan(-0.3), right: () => this.pan(0.3), in: () => this.zoom(0.6), out: () => this.zoom(1 / 0.6) };
      (acts[what] ?? (() => this.show(this.header.start, this.header.stop)))();
    }

    listen() {
      const over = this.over, place = (e) => ({ x: e.offsetX, y: e.offsetY });
      this.box.addEventListener("change", () => this.read());
      this.box.addEventListener("click", (e) => e.target.dataset.do && this.act(e.target.dataset.do));
      new ResizeObserver(() => this.box.clientWidth !== this.seen && ((this.seen = this.box.clientWidth), this.resize())).observe(this.box);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
      over.addEventListener("pointerdown", (e) => {
        over.setPointerCapture(e.pointerId);
        this.drag = { ...place(e), pan: e.shiftKey || e.button === 1 || e.pointerType === "touch", view: [...this.view] };
      });
      over.addEventListener("pointermove", (e) => {
        this.cursor = place(e);
        if (this.drag?.pan) {
          const by = ((this.drag.x - e.offsetX) / this.inner) * (this.view[1] - this.view[0]);
          this.show(this.drag.view[0] + by, this.drag.view[1] + by);
        } else this.mark();
      });
      over.addEventListener("pointerup", (e) => {
        const drag = this.drag;
        this.drag = null;
        if (drag && !drag.pan && Math.abs(e.offsetX - drag.x) > 5)
          this.show(...[this.time(drag.x), this.time(e.offsetX)].sort((a, b) => a - b));
        else this.mark();
      });
      over.addEventListener("pointerleave", () => {
        this.cursor = null;
        this.mark();
      });
      over.addEventListener("dblclick", () => this.act("all"));
      over.addEventListener("wheel", (e) => {
        if (document.activeElement !== over && !e.ctrlKey && !e.metaKey) return; // else a reader could not scroll past
        e.preventDefault();
        Math.abs(e.deltaX) > Math.abs(e.deltaY) ? this.pan(e.deltaX / 800) : this.zoom(Math.exp(e.deltaY / 400), this.time(e.offsetX));
      }, { passive: false });
      over.addEventListener("keydown", (e) => {
        const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all", Home: "all" };
        if (!keys[e.key] || e.ctrlKey || e.metaKey) return;
        e.preventDefault();
        this.act(keys[e.key]);
      });
    }
  }

  async function begin(box) {
    const part = (name) => document.getElementById(`${box.dataset.id}-${name}`).textContent;
    try {
      const header = JSON.parse(part("header"));
      new Traces(box, header, decode(header.arrays, await unpack(part("data"))));
    } catch (error) {
      box.querySelector(".plot").textContent = `The traces cannot be drawn (${error.message}). They need a browser of 2023 or newer.`;
    }
  }

  const seen = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => (seen.unobserve(e.target), begin(e.target))),
    { rootMargin: "400px" },
  );
  document.querySelectorAll(".traces").forEach((box) => seen.observe(box));
  // A link to a recording unfolds it.
  const unfold = () => document.getElementById(location.hash.slice(1))?.closest("details")?.setAttribute("open", "");
  addEventListener("hashchange", unfold);
  unfold();
})();
