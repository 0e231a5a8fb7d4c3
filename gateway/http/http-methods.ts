/**
 * The methods of RFC 9110 section 9 and RFC 5789. Metrics and spans report any other method as `_OTHER`, as clients could
 * otherwise create any number of time series. Source: OpenTelemetry semantic conventions, `http.request.method`.
 */
export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
])

export const OTHER_METHOD = '_OTHER'
