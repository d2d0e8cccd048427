#include "callback/verdict.h"

#include <curl/curl.h>
#include <fmt/format.h>

namespace sterna::callback {
namespace {

std::string describe_status(unsigned status) {
  switch (status) {
    case 301:
    case 302:
    case 303:
      return fmt::format(
          "the receiver redirected with {}, which does not keep the POST; it has to use 307 or 308", status);
    default:
      return fmt::format("the receiver answered {}", status);
  }
}

std::string describe_failure(int code, std::string_view text) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return "the receiver's host name could not be resolved";
    case CURLE_COULDNT_CONNECT:
      return fmt::format("no connection to the receiver: {}", text);
    case CURLE_OPERATION_TIMEDOUT:
      return fmt::format("the receiver did not answer in time: {}", text);
    case CURLE_PEER_FAILED_VERIFICATION:
      return fmt::format("the receiver's TLS certificate was not accepted: {}", text);
    case CURLE_SSL_CONNECT_ERROR:
      return fmt::format("no TLS connection to the receiver: {}", text);
    case CURLE_GOT_NOTHING:
      return "the receiver closed the connection without an answer";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return "the receiver closed the connection before it had answered";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return "what the receiver answered is not HTTP";
    default:
      return fmt::format("the exchange with the receiver broke off: {}",
                         curl_easy_strerror(static_cast<CURLcode>(code)));
  }
}

}  // namespace

Verdict verdict_for_status(unsigned status) {
  if (status >= 200 && status < 300) return Verdict::kDelivered;
  if (status < 200 || status >= 500) return Verdict::kRetry;
  if (status == 408 || status == 425 || status == 429) return Verdict::kRetry;
  return Verdict::kUndeliverable;
}

bool is_followed_redirect(unsigned status) {
  return status == 307 || status == 308;
}

PostResult result_for_answer(unsigned status, std::optional<Duration> retry_after) {
  PostResult result{
      .verdict = verdict_for_status(status), .status_code = status, .detail = {}, .retry_after = {}};
  if (result.verdict != Verdict::kDelivered) result.detail = describe_status(status);
  if (result.verdict == Verdict::kRetry) result.retry_after = retry_after;
  return result;
}

PostResult result_for_failure(int curl_code, std::string_view curl_text) {
  return {.verdict = Verdict::kRetry,
          .status_code = {},
          .detail = describe_failure(curl_code, curl_text),
          .retry_after = {}};
}

PostResult result_for_large_head(std::size_t limit_bytes) {
  return {.verdict = Verdict::kRetry,
          .status_code = {},
          .detail = fmt::format("the head of the receiver's answer is larger than {} KiB", limit_bytes >> 10),
          .retry_after = {}};
}

PostResult undeliverable(std::string detail) {
  return {
      .verdict = Verdict::kUndeliverable, .status_code = {}, .detail = std::move(detail), .retry_after = {}};
}

PostResult not_attempted(std::string detail, Duration retry_after) {
  return {.verdict = Verdict::kRetry,
          .status_code = {},
          .detail = std::move(detail),
          .retry_after = retry_after,
          .attempted = false};
}

PostResult target_rests(std::string detail, Duration retry_after) {
  PostResult result = not_attempted(std::move(detail), retry_after);
  result.target_rests = true;
  return result;
}

}  // namespace sterna::callback
