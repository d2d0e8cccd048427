#include "native/command/command.h"

#include "base/clock.h"
#include "native/command/command_run.h"
#include "native/program.h"

namespace sterna::native {
namespace {

// The variable of OpenFaaS' classic watchdog, whose functions run here as they are.
constexpr std::string_view kContentTypeVariable = "content_type";

class Commands final : public RunMaker {
 public:
  Commands(net::Loop& loop, Command command) : loop_(loop), command_(std::move(command)) {}
  void serve_at(Desk& desk) { desk_ = &desk; }

  std::unique_ptr<Run> start(Exchange& exchange) override {
    auto run = std::make_unique<CommandRun>(*desk_, exchange, command_);
    run->begin();
    return run;
  }
  void leave() override { loop_.stop(); }

 private:
  net::Loop& loop_;
  const Command command_;
  Desk* desk_ = nullptr;
};

}  // namespace

int serve_command(const Init& init, worker::Channel& channel) {
  const Environment environment(init);
  auto program = program_of(init, environment);
  if (!program) return refuse_to_load(channel, program.error().detail);
  if (!init.request_buffering) channel.inbox().pass_parts();
  const SystemClock clock;
  net::Loop loop(clock);
  Commands commands(loop, {.program = program->path,
                           .argv = program->argv,
                           .environment = environment,
                           .content_type = std::string(environment.get(kContentTypeVariable))});
  Desk desk(loop, channel, init.concurrency, commands);
  commands.serve_at(desk);
  if (const Status opened = desk.open(program->argv.front(), false); !opened) {
    return refuse_to_load(channel, opened.error().detail);
  }
  loop.run();
  return 0;
}

}  // namespace sterna::native
