// TextEncoder and TextDecoder for UTF-8, which QuickJS does not have.

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    const bytes = [];
    // By code points; a lone surrogate is U+FFFD, as the Encoding Standard has it.
    for (const symbol of String(text)) {
      let code = symbol.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else {
        bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      }
    }
    return new Uint8Array(bytes);
  }
}

export class TextDecoder {
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`${label} is not served: only utf-8 is`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  get encoding() {
    return "utf-8";
  }

  decode(input = new Uint8Array()) {
    const view = ArrayBuffer.isView(input);
    const bytes = view ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    let at = 0;
    if (!this.ignoreBOM && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) at = 3;
    let text = "";
    const units = [];
    while (at < bytes.length) {
      const lead = bytes[at++];
      let code = lead;
      if (lead >= 0x80) {
        // How many bytes follow, and the bounds of the first of them (Unicode, table 3-7).
        let more = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
        let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
        let valid = more > 0;
        code = lead & (0x3f >> more);
        for (; more > 0; more--) {
          if (!(bytes[at] >= low && bytes[at] <= high)) {
            valid = false;
            break;
          }
          code = (code << 6) | (bytes[at++] & 63);
          low = 0x80;
          high = 0xbf;
        }
        if (!valid) {
          if (this.fatal) throw new TypeError("not UTF-8");
          code = 0xfffd;
        }
      }
      if (code > 0xffff) units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
      else units.push(code);
      if (units.length > 4096) text += String.fromCharCode(...units.splice(0));
    }
    return text + String.fromCharCode(...units);
  }
}
