// Part: the positions of each row of attention, split among workgroups. Links with heads.wgsl and rows.wgsl. Grid: HEADS x SPLITS x T.
override SPAN: u32; // positions of a split
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> q: array<vec4f>; // [T, HEADS, HEAD_DIM / 4], rotated

struct Split {
  sequence: u32,
  begin: u32, // the first position
  end: u32,   // behind the last; before `begin` where the split has none
}

fn splitOf(token: u32, split: u32) -> Split {
  let row = rows.row[token];
  let begin = split * SPAN;
  return Split(row.sequence, begin, min(min(row.position + 1u, CONTEXT), begin + SPAN));
}
