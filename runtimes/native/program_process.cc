#include "native/program_process.h"

#include <signal.h>

#include "base/last_words.h"

namespace sterna::native {
namespace {

constexpr Duration kStopTimeout = std::chrono::seconds(2);

}  // namespace

ProgramProcess::ProgramProcess(Desk& desk, Program program, Environment environment,
                               std::function<void(int)> on_ended)
    : desk_(desk),
      program_(std::move(program)),
      environment_(std::move(environment)),
      on_ended_(std::move(on_ended)) {}

ProgramProcess::~ProgramProcess() {
  desk_.loop().cancel(stop_timer_);
}

Status ProgramProcess::start() {
  auto out = Pipe::open();
  auto err = Pipe::open();
  if (!out || !err) return std::unexpected((!out ? out : err).error());
  const auto call = [this] { return desk_.only_call(); };
  output_ = std::make_unique<LogPipe>(desk_, std::move(out->read), wire::Stream::kStdout, call);
  errors_ = std::make_unique<LogPipe>(desk_, std::move(err->read), wire::Stream::kStderr, call);
  auto child = Child::start(desk_.loop(), program_.path, program_.argv, environment_,
                            {.in = -1, .out = out->write.get(), .err = err->write.get()},
                            [this](int wait_status) { on_exit(wait_status); });
  if (!child) return std::unexpected(child.error());
  child_ = std::move(*child);
  if (const Status watched = output_->watch(); !watched) return watched;
  return errors_->watch();
}

void ProgramProcess::drain() {
  if (!output_) return;
  output_->drain();
  errors_->drain();
}

std::string ProgramProcess::last_words() const {
  if (!output_) return {};
  return last_words_of(errors_->tail().empty() ? output_->tail() : errors_->tail());
}

void ProgramProcess::on_exit(int wait_status) {
  drain();
  on_ended_(wait_status);
}

void ProgramProcess::stop() {
  child_->signal_group(SIGTERM);
  stop_timer_ = desk_.loop().after(kStopTimeout, [this] { on_ended_(0); });
}

}  // namespace sterna::native
