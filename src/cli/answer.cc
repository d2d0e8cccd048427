#include "cli/answer.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/printable.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

constexpr std::size_t kMaxFaultBytes = 64U << 10;

bool write(std::string_view part) {
  return std::fwrite(part.data(), 1, part.size(), stdout) == part.size() && std::fflush(stdout) == 0;
}

// "platform" or "function"; a problem that a worker or a function is named in is the function's.
std::string fault_of(const HttpReply& reply) {
  if (const auto told = reply.head.find("x-sterna-fault"); !told.empty()) return std::string(told);
  const auto problem = api::parse_json(reply.body);
  const std::string component = problem ? cell(*problem, "component") : "";
  return component == "function" || component == "worker" ? "function" : "platform";
}

// Each answer to a call has X-Call-Id; refusals before that have X-Sterna-Fault.
bool is_foreign(const HttpHead& head) {
  return head.find("x-call-id").empty() && head.find("x-sterna-fault").empty();
}

int tell_foreign(const Target& target, const HttpHead& head) {
  const std::string detail = fmt::format(
      "the server answered {} without X-Call-Id: {} is no Sterna server, "
      "or something before it has answered",
      printable(head.status_line), target.url);
  if (target.json) {
    print_to_stderr(
        fmt::format("{}\n", api::dump(api::OrderedJson{{"reason", "http_error"}, {"detail", detail}})));
  } else {
    print_to_stderr(fmt::format("sterna: platform fault, http_error: {}\n", detail));
  }
  return kExitPlatformFault;
}

}  // namespace

void print_head(const HttpHead& head) {
  print(printable(head.status_line) + "\r\n");
  for (const auto& [name, value] : head.headers)
    print(fmt::format("{}: {}\r\n", printable(name), printable(value)));
  print("\r\n");
  std::fflush(stdout);
}

int tell_fault(const Target& target, std::string_view function, const HttpReply& reply) {
  const std::string fault = fault_of(reply);
  const int status = fault == "function" ? kExitFunctionFault : kExitPlatformFault;
  if (target.json) {
    print_to_stderr(fmt::format("{}\n", reply.body));
    return status;
  }
  const Error error = error_of(reply);
  print_to_stderr(fmt::format("sterna: {}\n",
                              printable(fmt::format("{} fault, {}: {}", fault, error.reason, error.detail))));
  if (error.reason == "token_missing" || error.reason == "token_invalid") {
    print_to_stderr(fmt::format(
        "sterna: log in with: sterna login --url {} --client-id ID, or give a good token with --token or "
        "STERNA_TOKEN\n",
        target.url));
  }
  if (const auto call = reply.head.find("x-call-id"); !call.empty() && fault == "function") {
    print_to_stderr(
        fmt::format("sterna: what it logged: sterna logs {} --call-id {}\n", function, printable(call)));
  }
  return status;
}

void AnswerWriter::take_head(const HttpHead& head) {
  reply_.head = head;
  aside_ = fault() == "platform" || ((kind_ == AnswerKind::kKept || !fault().empty()) &&
                                     head.find("content-type").starts_with("application/problem+json"));
  foreign_ = kind_ == AnswerKind::kLive && is_foreign(head);
  if (show_head_) print_head(head);
}

bool AnswerWriter::take_body(std::string_view part) {
  if (foreign_) return true;
  if (!aside_) return write(part);
  reply_.body.append(part);
  if (reply_.body.size() <= kMaxFaultBytes) return true;
  aside_ = false;  // larger than any problem of ours
  return write(reply_.body);
}

int AnswerWriter::finish(const Target& target, std::string_view function) const {
  if (foreign_) return tell_foreign(target, reply_.head);
  if (!aside_) return kExitOk;
  const auto problem = api::parse_json(reply_.body);
  const bool is_ours =
      problem && problem->is_object() && problem->contains("reason") && problem->contains("component");
  if (!is_ours && fault() != "platform") {
    write(reply_.body);
    return kExitOk;
  }
  return tell_fault(target, function, reply_);
}

}  // namespace sterna::cli
