// Starts the page. `explorer` is there for the console, and for tests.

import { App, complain } from "./app.js";
import { pageSource } from "./sources.js";

// What nobody else caught, as when the server has gone.
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  complain(event.reason);
});

const source = pageSource();
try {
  await source.load();
  document.title = `${source.model.title}: latent space`;
  document.getElementById("title").textContent = source.model.title;
  document.getElementById("about").textContent = source.model.about;
  document.body.classList.remove("loading");
  globalThis.explorer = new App(source);
} catch (error) {
  complain(error);
}
