/** Our logits beside one peer's, and the most that their mean KL divergence may be, in nats. */
export interface Pairing {
  readonly peer: "pytorch" | "llama";
  /** How we store weights; the checkpoint has f32. */
  readonly weights: "f32" | "f16";
  /** How we store keys and values. */
  readonly cache: "f32" | "f16";
  readonly bound: number;
}

/**
 * PyTorch computes in float64 from the checkpoint's own f32 weights and never rounds keys or values: the bounds hold what
 * our storing them as halves changes. llama.cpp stores weights and cache in the same formats as we do, but then rounds
 * more than we do: the activations, too, where it multiplies them with halves. Between f32 and float64 only the
 * rounding of sums is left, whose logits are off by about 1e-5; KL goes with the square.
 */
export const PAIRINGS: readonly Pairing[] = [
  { peer: "pytorch", weights: "f32", cache: "f32", bound: 1e-8 },
  { peer: "pytorch", weights: "f32", cache: "f16", bound: 1e-5 },
  { peer: "pytorch", weights: "f16", cache: "f16", bound: 1e-4 },
  { peer: "llama", weights: "f32", cache: "f32", bound: 1e-8 },
  { peer: "llama", weights: "f32", cache: "f16", bound: 1e-5 },
  { peer: "llama", weights: "f16", cache: "f16", bound: 1e-4 },
];
