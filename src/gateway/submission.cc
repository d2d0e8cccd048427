#include "gateway/submission.h"

#include "gateway/fingerprint.h"
#include "gateway/function_request.h"

namespace sterna::gateway {
namespace {

using Answer = SubmitExchange::Answer;

constexpr std::chrono::milliseconds kKeyMemory = std::chrono::hours(24);  // of Idempotency-Key

}  // namespace

Result<std::optional<AsyncWish>> async_wish_of(const net::HttpRequest& request, RouteKind kind,
                                               const auth::Grant* caller, WallTime now) {
  AsyncWish wish;
  if (kind != RouteKind::kAsyncInvoke) {
    const AsyncPreference preference = parse_preference(request);
    if (preference.respond_async) {
      wish.plan = {.answer = Answer::kPreferAsync, .wait = preference.wait};
    } else if (request.find(net::KnownHeader::kIdempotencyKey) != nullptr) {
      wish.plan.answer = Answer::kFunctionsOwn;
    } else {
      return std::nullopt;
    }
  }
  if (caller != nullptr) wish.app = caller->app;
  if (wish.plan.answer == Answer::kFunctionsOwn) {  // nothing to do with callbacks and delays
    auto key = parse_idempotency_key(request);
    if (!key) return std::unexpected(key.error());
    wish.headers.idempotency_key = std::move(*key);
    return wish;
  }
  auto headers = parse_async_headers(request, now);
  if (!headers) return std::unexpected(headers.error());
  wish.headers = std::move(*headers);
  return wish;
}

Result<queue::Submission> make_submission(net::HttpConnection& connection, const invoke::FunctionEntry& entry,
                                          const std::string& path, std::string_view query,
                                          const std::string& call_id, const AsyncWish& wish,
                                          api::Access access, WallTime now, UlidGenerator& ids) {
  const net::HttpRequest& request = connection.request();
  const WallTime not_before = wish.headers.earliest(now);
  queue::Submission submission{
      .function = {.id = entry.id,
                   .space = entry.space,
                   .name = entry.name,
                   .space_made_at = entry.in_space->made_at},
      .id = call_id,
      .request = encode_request(
          request,
          {.client = connection.client(), .path = path, .query = query, .call_id = call_id, .access = access},
          ids),
      .body = connection.take_body(),
      .callback_url = wish.headers.callback_url,
      .created_at = now,
      .not_before = not_before,
      .expires_at = not_before + std::chrono::duration_cast<std::chrono::milliseconds>(entry.async.max_age),
      .max_attempts = wish.plan.answer == Answer::kAccepted ? 0U : 1U,  // one, as for a synchronous call
      .idempotency = {},
      .space_backlog = entry.in_space->max_backlog,
      .turn = wish.plan.answer == Answer::kFunctionsOwn ? queue::Turn::kAtOnce : queue::Turn::kInLine};
  if (!wish.headers.idempotency_key.empty()) {
    auto fingerprint = fingerprint_of(request.method, path, query, submission.body);
    if (!fingerprint) return std::unexpected(fingerprint.error());
    submission.idempotency =
        queue::IdempotencyKey{.key = callers_key(wish.app, request, wish.headers.idempotency_key),
                              .fingerprint = std::move(*fingerprint),
                              .forgotten_at = now + kKeyMemory};
  }
  return submission;
}

}  // namespace sterna::gateway
