// Part: the queries of a workgroup of attention, those of a token that read the same keys, then the next token's. Links with
// heads.wgsl, rows.wgsl and an octet_*.wgsl.
override GROUP = HEADS / KV_HEADS; // queries of a token that read the same keys

@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, HEADS * HEAD_DIM / 4]

// Where a query begins in qkv, by its number among those that read the same keys.
fn queryStart(kvHead: u32, query: u32) -> u32 {
  return ((query / GROUP) * (HEADS + 2u * KV_HEADS) + kvHead * GROUP + query % GROUP) * (HEAD_DIM / 4u);
}

// Queries of a workgroup that are of one sequence, up to `end`.
struct Span {
  sequence: u32,
  end: u32,
  length: u32,    // positions that any of them sees
  seenByAll: u32, // positions that every query of the workgroup sees; 0 where they are of several sequences
}

// Those from `start` on, of the `count` from firstQuery on that a workgroup has.
fn spanOf(firstQuery: u32, start: u32, count: u32) -> Span {
  let sequence = rows.row[(firstQuery + start) / GROUP].sequence;
  var end = count;
  while (rows.row[(firstQuery + end - 1u) / GROUP].sequence != sequence) {
    end--;
  }
  let length = min(rows.row[(firstQuery + end - 1u) / GROUP].position + 1u, CONTEXT);
  let seenByAll = select(0u, rows.row[firstQuery / GROUP].position + 1u, end - start == count);
  return Span(sequence, end, length, seenByAll);
}

fn isFinite(octet: Octet) -> bool {
  // These bits rise with the magnitude, and those of NaN and infinity are the highest.
  let bits = max(bitcast<vec4u>(octet.low) & vec4u(0x7fffffffu), bitcast<vec4u>(octet.high) & vec4u(0x7fffffffu));
  return max(max(bits.x, bits.y), max(bits.z, bits.w)) < 0x7f800000u;
}
