#include "native/lambda/api_requests.h"

#include <fmt/format.h>

#include <utility>

#include "api/base64.h"
#include "native/lambda/json_text.h"
#include "native/lambda/runtime_api.h"

namespace sterna::native {
namespace {

constexpr std::string_view kJson = "Content-Type: application/json\r\n";
constexpr std::string_view kAccepted = R"({"status":"OK"})";
constexpr std::size_t kMaxErrorBytes = 256U << 10;  // of a report; what is longer is cut

std::string error_body(std::string_view type, std::string_view message) {
  std::string body = "{";
  append_json_member(body, "errorMessage", message);
  append_json_member(body, "errorType", type);
  return body.append("}");
}

void append_cut(std::string& body, std::string_view part) {
  body.append(part.substr(0, kMaxErrorBytes - body.size()));
}

}  // namespace

Refusal::Refusal(ApiConnection& connection, std::uint32_t status, std::string_view type,
                 std::string_view message)
    : connection_(connection), status_(status), body_(error_body(type, message)) {}

void Refusal::on_end() {
  connection_.answer(status_, kJson, body_);
}

void NextRequest::on_end() {
  api_.on_next(*this);
}

void NextRequest::on_broken() {
  api_.on_next_gone(*this);
}

void NextRequest::give(const LambdaRun& run, std::string_view headers, std::string event) {
  given_ = run.id();
  connection_.answer(200, headers, std::move(event));
}

RunRequest::RunRequest(RuntimeApi& api, ApiConnection& connection, LambdaRun& run)
    : api_(api), connection_(connection), run_(&run) {
  run.begin_answer(*this);
}

RunRequest::~RunRequest() {
  if (run_ != nullptr) run_->forget_carrier();
}

void RunRequest::on_broken() {
  if (run_ != nullptr) std::exchange(run_, nullptr)->break_off();
}

void RunRequest::on_run_over() {
  run_ = nullptr;
  connection_.resume();  // what still comes is read and dropped
}

LambdaRun* RunRequest::take_run() {
  if (run_ == nullptr) {
    connection_.answer(400, kJson, error_body("InvalidRequestID", "the invocation is over"));
  } else {
    api_.before_answer();
  }
  return std::exchange(run_, nullptr);
}

void RunRequest::accept() {
  connection_.answer(202, kJson, std::string(kAccepted));
}

void RunRequest::tell_too_large() {
  connection_.answer(
      413, kJson,
      error_body("RequestEntityTooLarge",
                 fmt::format("Exceeded maximum allowed payload size ({} bytes).", kMaxAnswerBytes)));
}

WholeAnswer::WholeAnswer(RuntimeApi& api, ApiConnection& connection, LambdaRun& run,
                         std::optional<std::uint64_t> length)
    : RunRequest(api, connection, run) {
  if (length.value_or(0) > kMaxAnswerBytes) {
    refuse();
  } else {
    body_.reserve(length.value_or(0));
  }
}

void WholeAnswer::refuse() {
  too_large_ = true;
  body_ = {};
  run()->refuse(fmt::format(
      "it is larger than {} MiB: answer with a stream (Lambda-Runtime-Function-Response-Mode: streaming)",
      kMaxAnswerBytes >> 20U));
}

void WholeAnswer::on_body(std::string_view part) {
  if (run() == nullptr || too_large_) return;
  if (body_.size() + part.size() > kMaxAnswerBytes) return refuse();
  body_.append(part);
}

void WholeAnswer::on_end() {
  if (too_large_) return tell_too_large();
  LambdaRun* const run = take_run();
  if (run == nullptr) return;
  run->answer(std::move(body_));
  accept();
}

std::size_t StreamedAnswer::room() const {
  return run() == nullptr ? SIZE_MAX : run()->room();
}

void StreamedAnswer::on_body(std::string_view part) {
  if (run() != nullptr) run()->stream(part);
}

void StreamedAnswer::on_trailer(const net::Header& field) {
  if (net::equal_ignoring_case(field.name, "lambda-runtime-function-error-type")) error_type_ = field.value;
  if (net::equal_ignoring_case(field.name, "lambda-runtime-function-error-body")) error_body_ = field.value;
}

void StreamedAnswer::on_end() {
  LambdaRun* const run = take_run();
  if (run == nullptr) return;
  if (error_type_.empty() && error_body_.empty()) {
    run->end_stream();
  } else {
    const auto decoded = api::base64_decode(error_body_);
    run->raise(read_error(decoded ? *decoded : error_body_, error_type_));
  }
  accept();
}

void RunError::on_body(std::string_view part) {
  append_cut(body_, part);
}

void RunError::on_end() {
  LambdaRun* const run = take_run();
  if (run == nullptr) return;
  run->raise(read_error(body_, type_));
  accept();
}

void InitError::on_body(std::string_view part) {
  append_cut(body_, part);
}

void InitError::on_end() {
  connection_.answer(202, kJson, std::string(kAccepted));
  api_.on_init_error(read_error(body_, type_));
}

}  // namespace sterna::native
