// Part: groups of 32 values as a KV cache in q8 or q4 has them: codes, and a word beside with the scale d and the minimum m
// as halves, value = d * code + m. Links with hadamard.wgsl and a codes_*.wgsl.
var<workgroup> groupFours: array<vec4f, HADAMARD_LANES>;

struct Rounded {
  codes: u32, // of CODE_LANES lanes, in the first of them
  group: u32, // d in the low half, m in the high one
}

// The values as hadamard() gives them. Call it in uniform control flow, and again only after a barrier.
fn roundGroup(y: vec4f, lane: u32) -> Rounded {
  if (lane < HADAMARD_LANES) {
    groupFours[lane] = y;
  }
  workgroupBarrier();
  let first = lane % HADAMARD_LANES / 8u * 8u;
  var low = groupFours[first];
  var high = low;
  var bits = vec4u(0u);
  for (var i = 0u; i < 8u; i++) {
    let four = groupFours[first + i];
    low = min(low, four);
    high = max(high, four);
    bits = max(bits, bitcast<vec4u>(four) & vec4u(0x7fffffffu)); // they rise with the magnitude; NaN's are the highest
  }
  // The codes are of d and m as they are stored.
  let m = nearestHalf(clamp(min(min(low.x, low.y), min(low.z, low.w)), -65504.0, 65504.0));
  let range = max(max(max(high.x, high.y), max(high.z, high.w)) - m, 0.0);
  let group = pack2x16float(vec2f(nearestHalf(range / LARGEST_CODE), m));
  let d = unpack2x16float(group).x;
  let factor = select(0.0, 1.0 / d, d > 0.0);
  // What rounds to more than the largest half and what is no number has to show in the logits: see cache_f16.wgsl.
  let fits = max(max(bits.x, bits.y), max(bits.z, bits.w)) < 0x477ff000u; // the bits of 65520
  return Rounded(
    packCodes(codesOf(y, m, factor), codesOf(groupFours[first + (lane + 1u) % 8u], m, factor)),
    select(0x7e007e00u, group, fits),
  );
}

// The f32 of eleven digits next to x: what is packed as it is, where WGSL leaves the direction of rounding to the adapter.
fn nearestHalf(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  return bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
}

fn codesOf(y: vec4f, m: f32, factor: f32) -> vec4u {
  return vec4u(clamp(round((y - m) * factor), vec4f(0.0), vec4f(LARGEST_CODE)));
}
