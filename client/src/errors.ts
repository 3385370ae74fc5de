import type { components } from './generated/openapi.js';

/** An error code of the API. */
export type ApiErrorCode = components['schemas']['ErrorCode'];

/**
 * An error code of the client itself, if there is none of the API: `timeout` and `network_error` if no answer came (status
 * 0), `invalid_response` for a success with invalid content, and `http_error` for an error that isn't the API's own, such as
 * API Gateway's 429 or a redirect.
 */
export type ClientErrorCode = 'timeout' | 'network_error' | 'invalid_response' | 'http_error';

/** Known codes, and codes that a later version of the API may add. */
export type UsageApiErrorCode = ApiErrorCode | ClientErrorCode | (string & {});

/** Further details of a failure. */
export interface UsageApiErrorDetails {
  requestId?: string | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** The reason that a call has no result. The message is a sentence for a person. */
export class UsageApiError extends Error {
  override readonly name = 'UsageApiError';
  /** The HTTP status, or 0 if no answer came. */
  readonly status: number;
  /** The reason, for a program. */
  readonly code: UsageApiErrorCode;
  /** The id of the request in the API's logs. */
  readonly requestId: string | undefined;
  /** The wait that the API asked for before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status: number, code: UsageApiErrorCode, details: UsageApiErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.status = status;
    this.code = code;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
  }
}
