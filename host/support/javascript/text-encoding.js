// TextEncoder and TextDecoder for UTF-8, which QuickJS does not have. QuickJS interprets:
// bytes become text, and text bytes, by its own functions, a run at a time.

/** Bytes that are no ASCII, as characters up to U+00FF. */
const RUNS = /[\x80-\xff]+/g;
const BOM = '\xef\xbb\xbf';

export class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(text = '') {
    // A lone surrogate is U+FFFD, as the Encoding Standard has it.
    return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(String(text).toWellFormed()))));
  }
}

export class TextDecoder {
  constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`${label} is not served: only utf-8 is`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  get encoding() {
    return 'utf-8';
  }

  decode(input = new Uint8Array(), { stream = false } = {}) {
    if (stream) throw new RangeError('stream is not served: decode all bytes at once');
    const view = ArrayBuffer.isView(input);
    const bytes = view ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    let latin = atob(bytes.toBase64());
    if (!this.ignoreBOM && latin.startsWith(BOM)) latin = latin.slice(BOM.length);
    try {
      return latin.replace(RUNS, (run) => decodeURIComponent(escape(run)));
    } catch {
      if (this.fatal) throw new TypeError('not UTF-8');
      return latin.replace(RUNS, replaced);
    }
  }
}

/** A run with U+FFFD for each part that is not UTF-8. */
function replaced(run) {
  let text = '';
  for (let at = 0; at < run.length; ) {
    const lead = run.charCodeAt(at++);
    // How many bytes follow, and the bounds of the first of them (Unicode, table 3-7).
    let more = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    let code = more > 0 ? lead & (0x3f >> more) : 0xfffd;
    for (; more > 0; more--) {
      const next = run.charCodeAt(at);
      if (!(next >= low && next <= high)) {
        code = 0xfffd;
        break;
      }
      code = (code << 6) | (next & 63);
      at++;
      low = 0x80;
      high = 0xbf;
    }
    text += String.fromCodePoint(code);
  }
  return text;
}
