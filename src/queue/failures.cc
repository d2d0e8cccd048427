#include "queue/failures.h"

namespace sterna::queue {
namespace {

std::unexpected<Error> failure(Code code, std::string reason, std::string detail) {
  return fail(code, Component::kQueue, std::move(reason), std::move(detail));
}

}  // namespace

Error unavailable(const Error& cause) {
  if (cause.component == Component::kQueue) return cause;
  return {Code::kUnavailable, Component::kQueue, "queue_unavailable",
          "the queue cannot be used now (" + cause.reason + "); try again later"};
}

std::unexpected<Error> backlog_full(std::string_view of) {
  return failure(Code::kExhausted, "backlog_full",
                 "too many invocations of this " + std::string(of) + " are waiting; try again later");
}

std::unexpected<Error> call_id_in_use() {
  return failure(Code::kConflict, "call_id_in_use",
                 "the function has an invocation with this call id already; use a new one");
}

std::unexpected<Error> idempotency_key_reused() {
  return failure(Code::kInvalid, "idempotency_key_reused",
                 "this Idempotency-Key was used for another request; use a new key");
}

std::unexpected<Error> answer_not_kept() {
  return failure(
      Code::kConflict, "answer_not_kept",
      "the first call with this Idempotency-Key has ended, but its answer is not kept any more: the queue's "
      "database had reached async.keep_settled_bytes. Nothing was run again; to have it run, use a new key");
}

std::unexpected<Error> function_gone() {
  return failure(Code::kNotFound, "function_not_found", "the function has been deleted");
}

std::unexpected<Error> stale_receipt() {
  return failure(Code::kConflict, "stale_receipt", "the lease has ended");
}

std::unexpected<Error> invocation_not_found() {
  return failure(Code::kNotFound, "invocation_not_found",
                 "the function has no invocation with this id; settled ones are kept for a time only");
}

std::unexpected<Error> ended_meanwhile() {
  return failure(Code::kNotFound, "invocation_not_found", "it has ended meanwhile");
}

std::unexpected<Error> already_ended() {
  return failure(Code::kConflict, "already_ended", "the invocation has ended already");
}

std::unexpected<Error> not_failed() {
  return failure(Code::kConflict, "not_failed", "only a failed or expired invocation can be run again");
}

std::unexpected<Error> not_ended() {
  return failure(Code::kConflict, "not_ended",
                 "the invocation has not ended yet; wait for it with ?wait=30 on the invocation");
}

std::unexpected<Error> no_callback() {
  return failure(
      Code::kConflict, "no_callback",
      "the invocation was made without X-Callback-Url, or it was cancelled: there is nothing to send");
}

std::unexpected<Error> no_answer() {
  return failure(Code::kNotFound, "no_answer", "the invocation was cancelled: it has no answer");
}

std::unexpected<Error> bad_cursor() {
  return failure(Code::kInvalid, "bad_parameter", "cursor: use the next_cursor of the page before");
}

}  // namespace sterna::queue
