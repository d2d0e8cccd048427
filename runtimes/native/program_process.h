// A function's program that runs as long as its worker: started with its output in the log, asked to end.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "native/child.h"
#include "native/desk.h"
#include "native/log_pipe.h"
#include "native/program.h"

namespace sterna::native {

class ProgramProcess {
 public:
  // `on_ended` gets the wait status, once, after all that the program has printed is in the log.
  ProgramProcess(Desk& desk, Program program, Environment environment, std::function<void(int)> on_ended);
  ~ProgramProcess();

  // Fails like Child::start.
  Status start();
  // SIGTERM; on_ended follows, or with status 0 kStopTimeout later anyway.
  void stop();

  // Takes what it has printed until now.
  void drain();
  // The line in which it says why it ended (last_words.h); all of it is in the function's log.
  std::string last_words() const;

  const std::string& name() const { return program_.argv.front(); }

 private:
  void on_exit(int wait_status);

  Desk& desk_;
  const Program program_;
  const Environment environment_;
  const std::function<void(int)> on_ended_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<LogPipe> output_;
  std::unique_ptr<LogPipe> errors_;
  net::Loop::TimerId stop_timer_;
};

}  // namespace sterna::native
