// A function's answer on its way to the user: its body goes to stdout as it comes, a fault to stderr and into
// the exit status.
#pragma once

#include <cstdint>
#include <string_view>

#include "cli/api_client.h"

namespace sterna::cli {

// Prints the status line and the headers to stdout.
void print_head(const HttpHead& head);

// Says on stderr which fault `reply` carries, and where its log is; with --json the problem as it came.
// Answers the exit status.
int tell_fault(const Target& target, std::string_view function, const HttpReply& reply);

// kKept: an answer that the server has kept tells a fault by its problem document alone.
enum class AnswerKind : std::uint8_t { kLive, kKept };

// Takes the answer: to stdout, or aside while it may be a fault. A function's own error statuses are answers
// like any other, though they carry X-Sterna-Fault too; a fault is a problem document of Sterna's. What does
// not come from a Sterna server at all, but from a proxy before it, is told as a fault of the platform.
class AnswerWriter {
 public:
  AnswerWriter(AnswerKind kind, bool show_head) : kind_(kind), show_head_(show_head) {}

  void take_head(const HttpHead& head);
  // False when stdout takes no more.
  bool take_body(std::string_view part);
  // The exit status, once the answer has ended.
  int finish(const Target& target, std::string_view function) const;

 private:
  std::string_view fault() const { return reply_.head.find("x-sterna-fault"); }

  AnswerKind kind_;
  bool show_head_;
  bool aside_ = false;
  bool foreign_ = false;  // of somebody before the server
  HttpReply reply_;
};

}  // namespace sterna::cli
