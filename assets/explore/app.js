// The page as a whole: the latent vector that is decoded, the sample that is picked, and who has to know of a change.

import { fillChoices } from "./choices.js";
import { colouring } from "./colouring.js";
import { listen } from "./gestures.js";
import { Hover } from "./hover.js";
import { shortNumber } from "./numbers.js";
import { Overlay } from "./overlay.js";
import { decoded, pair } from "./pictures.js";
import { latentStatistics, Plane } from "./plane.js";
import { Scatter } from "./scatter.js";
import { Selection } from "./selection.js";
import { Sliders } from "./sliders.js";
import { Upload } from "./upload.js";
import { Walk } from "./walk.js";

// Pixels around a point that count as on it.
const NEAR = 12;

const the = (id) => document.getElementById(id);

export class App {
  constructor(source) {
    Object.assign(this, { source, model: source.model, points: source.points, picked: null, posterior: null });
    this.z = new Float32Array(this.model.latent);
    this.brush = null;
    this.decodes = 0;
    this.statistics = latentStatistics(this.points, this.model.latent);
    this.scatter = new Scatter(the("points"));
    this.overlay = new Overlay(the("overlay"), this.scatter);
    this.hover = new Hover(this, the("hover"));
    fillChoices(this);
    this.#listenToChoices();
    this.sliders = new Sliders(the("sliders"), this.statistics, (index, value) => {
      this.setZ(this.z.with(index, value));
    });
    this.selection = new Selection(this, {
      said: the("selected-said"), images: the("selected"), save: the("save"), clear: the("clear"), nearest: the("nearest"),
    });
    this.walk = new Walk(this, {
      from: the("walk-from"), to: the("walk-to"), kind: the("walk-kind"), strip: the("strip"), said: the("walk-said"),
    });
    if (this.model.can_encode) {
      this.upload = new Upload(this, { input: the("file"), said: the("upload-said"), result: the("uploaded") });
    }
    the("upload-part").hidden = !this.model.can_encode;
    listen(the("overlay"), () => document.querySelector("input[name=mode]:checked").value, this.#acts());
    new ResizeObserver(() => this.#resized()).observe(the("overlay"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.#setPlane();
    this.scatter.resize();
    this.scatter.fit();
    this.#setColours();
    this.setZ(this.z);
    this.pick(null);
    this.selection.set([]);
  }

  #listenToChoices() {
    [the("across"), the("up")].forEach((each) => each.addEventListener("change", () => this.#axesChanged()));
    the("colour").addEventListener("change", () => this.#setColours());
    the("label").addEventListener("change", () => {
      this.setZ(this.z);
      this.walk.show();
    });
    the("kind").addEventListener("change", () => {
      this.source.use(the("kind").value);
      this.setZ(this.z);
    });
    the("whole").addEventListener("click", () => this.#whole());
    the("origin").addEventListener("click", () => {
      this.pick(null);
      this.setZ(new Float32Array(this.model.latent));
    });
  }

  get label() {
    return this.model.labels.length === 0 ? -1 : Number(the("label").value);
  }

  #acts() {
    const to = (pixel) => this.scatter.toPlane(pixel);
    const moveTo = (place) => this.setZ(Float32Array.from(this.plane.moved(this.z, place)));
    return {
      move: (pixel) => moveTo(to(pixel)),
      nudge: (right, down) => {
        const [x, y] = this.scatter.toPixels(this.plane.project(this.z));
        moveTo(to([x + right, y + down]));
      },
      brush: (from, here) => {
        this.brush = [to(from), to(here)];
        this.redrawOverlay();
      },
      brushed: (from, here, isAdded) => {
        this.brush = null;
        const places = isAdded ? this.selection.places : [];
        this.scatter.inside(to(from), to(here), (place) => places.push(place));
        this.redrawOverlay();
        return this.selection.set(places);
      },
      pan: (right, down) => {
        this.scatter.view.x -= right / this.scatter.view.scale;
        this.scatter.view.y += down / this.scatter.view.scale;
        this.redraw();
      },
      zoom: (pixel, factor) => {
        const [x, y] = to(pixel);
        const { view } = this.scatter;
        this.scatter.view = { x: x + (view.x - x) / factor, y: y + (view.y - y) / factor, scale: view.scale * factor };
        this.redraw();
      },
      hover: (pixel, place) => this.hover.show(this.scatter.nearest(pixel, NEAR), place),
      leave: () => this.hover.hide(),
      click: (pixel) => {
        const place = this.scatter.nearest(pixel, NEAR);
        if (place >= 0) this.pick(place);
        else moveTo(to(pixel));
      },
      pick: () => {
        const place = this.scatter.nearest(this.scatter.toPixels(this.plane.project(this.z)), Infinity);
        if (place >= 0) this.pick(place);
      },
      clear: () => {
        this.brush = null;
        this.selection.set([]);
      },
      whole: () => this.#whole(),
    };
  }

  #whole() {
    this.scatter.fit();
    this.redraw();
  }

  #resized() {
    if (this.scatter.resize()) this.redraw();
  }

  #axesChanged() {
    the("up").disabled = the("across").value === "pca";
    this.#setPlane();
    this.#whole();
  }

  #setPlane() {
    const { points, model } = this;
    const across = the("across").value;
    this.plane =
      across === "pca"
        ? Plane.principal(points.mu, points.count, model.latent)
        : Plane.ofLatents(model.latent, Number(across), Number(the("up").value));
    const places = [new Float32Array(points.count), new Float32Array(points.count)];
    for (let i = 0; i < points.count; i++) {
      [places[0][i], places[1][i]] = this.plane.project(points.mu, i * model.latent);
    }
    this.scatter.setPoints(...places);
  }

  #setColours() {
    const { colours, legend } = colouring(the("colour").value, this.points, this.model.classes);
    this.scatter.colours = colours;
    the("legend").replaceChildren(...legend);
    this.redraw();
  }

  // Draws points and overlay once before the next frame.
  redraw() {
    this.isStale = true;
    this.redrawOverlay();
  }

  redrawOverlay() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      const style = getComputedStyle(document.documentElement);
      const colour = (name) => style.getPropertyValue(`--${name}`).trim();
      const background = colour("plane");
      if (this.isStale) {
        const rgb = parseInt(background.slice(1), 16);
        this.scatter.draw(((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16));
      }
      this.isStale = false;
      this.overlay.draw({
        names: this.plane.names,
        point: this.plane.project(this.z),
        posterior: this.posterior && {
          centre: this.plane.project(this.posterior.mu, this.posterior.at),
          deviations: this.plane.spread(this.posterior.log_var, this.posterior.at),
        },
        walk: this.walk.points.map((z) => this.plane.project(z)),
        brush: this.brush,
        colours: {
          background, text: colour("text"), faint: colour("faint"), line: colour("line"), accent: colour("accent"),
        },
      });
    });
  }

  decode(z) {
    return this.source.decode(z, this.label);
  }

  muOf(place) {
    const { latent } = this.model;
    return Array.from(this.points.mu.subarray(place * latent, (place + 1) * latent));
  }

  // Decodes another latent vector. While one is decoded only the last of those that come waits.
  async setZ(z) {
    this.z = z;
    this.sliders.show(z);
    this.redrawOverlay();
    this.isWaiting = true;
    if (this.isDecoding) return;
    this.isDecoding = true;
    try {
      while (this.isWaiting) {
        this.isWaiting = false;
        const values = await this.decode(this.z);
        the("decoded").replaceChildren(decoded(this.model, values, "the decoded image"));
        this.decodes += 1;
        the("device").textContent = `Decoded by ${this.source.where()}.`;
      }
    } catch (error) {
      complain(error);
    } finally {
      this.isDecoding = false;
    }
  }

  describe(place) {
    const { model, points } = this;
    const label = model.classes[points.classes[place]];
    const name = label === undefined ? `Sample ${model.ids[place]}` : `Sample ${model.ids[place]}, label ${label}`;
    return `${name}: recon ${shortNumber(points.recon[place])} nats, kl ${shortNumber(points.kl[place])} nats.`;
  }

  showPosterior(mu, log_var, at) {
    this.posterior = mu && { mu, log_var, at };
    this.sliders.showPosterior(mu, log_var, at);
  }

  // Picks a sample: its posterior is shown and its mean decoded; or none.
  async pick(place) {
    const { model, points } = this;
    this.picked = place;
    this.walk.update();
    this.hover.hide();
    const at = place * model.latent;
    this.showPosterior(place === null ? null : points.mu, points.log_var, at);
    the("picked").replaceChildren();
    the("picked-said").textContent = "None is picked. Click on a point, or press Enter for the nearest.";
    if (place === null) return this.redrawOverlay();
    const class_ = model.labels.indexOf(model.classes[points.classes[place]]);
    if (class_ >= 0) the("label").value = class_;
    the("picked-said").textContent = this.describe(place);
    const mu = Float32Array.from(this.muOf(place));
    this.setZ(mu);
    const [[original], reconstruction] = await Promise.all([this.source.images([place]), this.decode(mu)]);
    if (this.picked === place) the("picked").replaceChildren(...pair(model, original, reconstruction));
  }
}

// Says in the page what went wrong.
export function complain(error) {
  the("trouble").textContent =
    error instanceof TypeError
      ? "The program that serves this page does not answer: it may have ended. Start vae-gpu explore again."
      : `This did not work: ${error.message}`;
  the("trouble").hidden = false;
}
