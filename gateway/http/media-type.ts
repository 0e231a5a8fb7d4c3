// RFC 9110 sections 8.3.1 and 5.6.6. Each parameter consumes its semicolon, so matching takes linear time.
const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const QUOTED = '"(?:[\\t !#-\\[\\]-~]|\\\\[\\t -~])*"'
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:[\\t ]*;(?:[\\t ]*${TOKEN}=(?:${TOKEN}|${QUOTED}))?)*[\\t ]*$`)

/** RFC 6838 allows 127 characters for each name. The rest is for parameters, such as a boundary. */
const MAX_LENGTH = 1024

/** Whether the text is a media type in ASCII that a Content-Type header can carry: at most 1,024 characters. */
export function isMediaType(text: string): boolean {
  return text.length <= MAX_LENGTH && MEDIA_TYPE.test(text)
}
