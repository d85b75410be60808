// The choices above the plane and beside the decoded image, filled with what this model and this page offer.

const the = (id) => document.getElementById(id);
const option = ([value, text]) => new Option(text, value);

export function fillChoices({ model, source, statistics }) {
  const order = Array.from(statistics.deviation.keys()).sort((a, b) => statistics.deviation[b] - statistics.deviation[a]);
  const axes = () => Array.from({ length: model.latent }, (_, i) => option([i, `latent ${i + 1}`]));
  the("across").append(...axes());
  the("up").append(...axes());
  if (model.latent > 2) the("across").append(option(["pca", "PCA"]));
  // The two in which the samples differ most.
  [the("across").value, the("up").value] = [order[0], order[1] ?? order[0]].sort((a, b) => a - b);

  const colours = [["score", "score (recon + kl)"], ["recon", "recon"], ["kl", "kl"], ["", "nothing"]];
  if (model.classes.length > 0) colours.unshift(["label", "label"]);
  the("colour").append(...colours.map(option));

  the("label").append(...model.labels.map((name, index) => option([index, name])));
  the("label-choice").hidden = model.labels.length === 0;

  the("kind-choice").hidden = true;
  source.ready.then(() => {
    const kinds = source.kinds();
    the("kind").append(...kinds.map((name) => option([name, name])));
    the("kind").value = source.where();
    the("kind-choice").hidden = kinds.length < 2;
  });
}
