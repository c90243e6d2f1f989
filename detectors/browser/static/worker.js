// Judges photos, one at a time, off the page's thread.
import { factorOf, view } from "./view.js";
import { answer, decode, network, planesOf } from "./work.js";

// detectors/calibration.py: the thresholds, and no verdict on an image unlike those of its class, or scaled far more.
const judge = ({ scale, bias, real_below, generated_above, unsure, outside, factors }, logit, distances, factor) => {
  const probability = 1 / (1 + Math.exp(-(scale * logit + bias)));
  let verdict = "unsure", reason = unsure;
  if (real_below !== null && logit < real_below) verdict = "real";
  if (generated_above !== null && logit > generated_above) verdict = "generated";
  if (verdict !== "unsure") {
    const near = !factors || (factor >= factors[0] && factor <= factors[1]);
    const inside = near && (!distances || distances[verdict === "real" ? 0 : 1] <= 1);
    [verdict, reason] = inside ? [verdict, ""] : ["unsure", outside];
  }
  return { verdict, reason, probability, logit };
};

answer(async ({ photo }) => {
  const image = await decode(photo, "python -m detectors scan"), { width, height } = image;
  const { facts, runtime, session, provider, threads } = await network(), start = performance.now();
  const { size } = facts.view, planes = planesOf(view(image, facts.view));
  const { logits, distances } = await session.run({ images: new runtime.Tensor("float32", planes, [1, 3, size, size]) });
  const [logit] = await logits.getData(), seconds = (performance.now() - start) / 1000;
  const found = distances && (await distances.getData());
  return { ...judge(facts, logit, found, factorOf(image, facts.view)), width, height, seconds, provider, threads };
});
