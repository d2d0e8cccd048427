// One call of the template `cpp`: what the handler's answer becomes on the channel.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "sterna/call.h"
#include "worker/channel.h"

namespace sterna::native {

using CppHandler = void (*)(const sterna_call_v1*);

// How much of a call's answer may leave. Used with the channel's mutex held.
class AnswerWindow {
 public:
  virtual ~AnswerWindow() = default;
  // Waits until bytes may be sent; answers how many, at most `wanted`; 0: the caller is gone.
  virtual std::size_t take(std::size_t wanted) = 0;
  virtual bool is_cancelled() = 0;
};

class CppCall {
 public:
  // `mutex` guards the channel. `payload` is a request (wire/messages.h) and lives as long as the call.
  CppCall(worker::Channel& channel, std::mutex& mutex, AnswerWindow& window, worker::CallId id)
      : channel_(channel), mutex_(mutex), window_(window), id_(id) {}
  CppCall(const CppCall&) = delete;
  CppCall& operator=(const CppCall&) = delete;

  // Runs the handler without the mutex, which the caller holds, and appends all of its answer. Answers how
  // many nanoseconds it ran.
  std::uint64_t run(CppHandler handler, std::string_view payload);

 private:
  static CppCall& of(void* host) { return *static_cast<CppCall*>(host); }
  void respond(std::uint32_t status, std::string_view headers, std::uint32_t header_count,
               std::string_view body, wire::More more);
  void append_head(std::uint32_t status, std::string_view headers, std::uint32_t header_count,
                   std::uint64_t content_length, std::string_view body, wire::More more);
  bool send_parts(std::string_view bytes, wire::More more);
  void end();
  void fail(wire::FailKind kind, std::string_view text);
  std::uint64_t run_ns() const;

  worker::Channel& channel_;
  std::mutex& mutex_;
  AnswerWindow& window_;
  const worker::CallId id_;
  std::uint64_t started_ns_ = 0;
  bool answered_ = false;
  bool ended_ = false;
};

}  // namespace sterna::native
