// One call of the template `command`: a process that reads the request's body and writes the answer's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "native/child.h"
#include "native/desk.h"
#include "native/log_pipe.h"

namespace sterna::native {

// What to execute, the same for every call.
struct Command {
  std::string program;            // as find_program answered
  std::vector<std::string> argv;  // expanded
  Environment environment;
  std::string content_type;  // of every answer; empty: by what the output looks like
};

// The answer is 200 with what the process writes. It begins when 64 KiB have come or output has waited for
// kHold, so that a process which fails soon is an error for the caller and not a broken answer.
inline constexpr Duration kHold = std::chrono::milliseconds(50);

class CommandRun final : public Run, private net::EventHandler {
 public:
  CommandRun(Desk& desk, Exchange& exchange, const Command& command);
  ~CommandRun() override;
  // Starts the process; ends the exchange when it cannot.
  void begin();

  void cancel() override;
  void on_window() override { read_output(); }
  void on_body() override { input_->write(); }

 private:
  void on_event(std::uint32_t) override { read_output(); }
  Status spawn();
  void on_exit(int wait_status);
  void read_output();
  void answer();
  void end_when_done();
  void end_badly();
  bool may_be_out_of_memory() const;

  // The request's body on its way into the process.
  class Input final : public net::EventHandler {
   public:
    Input(net::Loop& loop, UniqueFd pipe, Exchange& exchange);
    ~Input() override { close(); }
    Status watch();
    // As much as is there and the pipe takes; closes it behind the end.
    void write();

   private:
    void on_event(std::uint32_t) override { write(); }
    void close();

    net::Loop& loop_;
    UniqueFd pipe_;
    Exchange& exchange_;
  };

  Desk& desk_;
  Exchange& exchange_;
  const Command& command_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<Input> input_;
  std::unique_ptr<LogPipe> errors_;
  UniqueFd output_;
  std::string held_;  // output that waits for the answer to begin
  net::Loop::TimerId hold_timer_;
  bool output_ended_ = false;
  bool cancelled_ = false;
  std::optional<int> wait_status_;
  // As the process began; nullopt when the kernel does not tell.
  std::optional<std::uint64_t> kernel_kills_;
};

}  // namespace sterna::native
