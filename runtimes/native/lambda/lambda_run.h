// One call of the template `lambda`: waits for the program to ask for it, then for the program's answer.
#pragma once

#include <string>
#include <string_view>

#include "native/desk.h"
#include "native/lambda/answer.h"
#include "net/loop.h"

namespace sterna::native {

class LambdaRun;

// A buffered answer is kept whole; AWS takes 6 MB, but our largest bodies must fit in base64.
inline constexpr std::size_t kMaxAnswerBytes = 16U << 20;

// The request of the program that carries a run's answer; hears when the run is over before it.
class AnswerCarrier {
 public:
  virtual ~AnswerCarrier() = default;
  // The run is gone: what still comes is dropped.
  virtual void on_run_over() = 0;
  // The run takes more bytes again.
  virtual void on_room() = 0;
};

class LambdaRuns {
 public:
  virtual ~LambdaRuns() = default;
  virtual void remove(LambdaRun& run) = 0;  // it is being destroyed
};

class LambdaRun final : public Run {
 public:
  // `id`: by which the program names it.
  LambdaRun(LambdaRuns& runs, net::Loop& loop, Exchange& exchange, std::string id, WallTime deadline);
  ~LambdaRun() override;

  enum class State : std::uint8_t {
    kOffered,    // nobody has asked for it
    kGiven,      // the program has it
    kAnswering,  // the answer is on its way from the program
    kAnswered,   // the program is done with it
  };
  State state() const { return state_; }
  const std::string& id() const { return id_; }
  const Exchange& exchange() const { return exchange_; }
  WallTime deadline() const { return deadline_; }

  void set_given() { state_ = State::kGiven; }
  // The program never got it whole: it is offered again.
  void set_offered() { state_ = State::kOffered; }

  // An answer, or the report of an error, begins to come: `carrier` hears of the run until it ends.
  void begin_answer(AnswerCarrier& carrier);
  void forget_carrier() { carrier_ = nullptr; }
  // A whole answer (lambda/answer.h).
  void answer(std::string payload);
  // An answer in parts.
  enum class StreamKind : std::uint8_t { kPlain, kWithPrelude };
  void begin_stream(StreamKind kind, std::string_view content_type);
  std::size_t room() const;
  void stream(std::string_view part);
  void end_stream();

  void raise(const ReportedError& error);
  // The answer is none, or breaks off.
  void refuse(const std::string& why);
  // The same when the connection broke: mostly because the process ends, which tells more and is heard of in
  // a moment.
  void break_off();

  void cancel() override;
  void on_window() override;

 private:
  void begin(AnswerHead head, std::uint64_t content_length);
  void send(std::string_view part, wire::More more);
  void send_held();
  void end_cancelled();

  LambdaRuns& runs_;
  net::Loop& loop_;
  Exchange& exchange_;
  const std::string id_;
  const WallTime deadline_;
  State state_ = State::kOffered;
  AnswerCarrier* carrier_ = nullptr;
  bool cancelled_ = false;
  AnswerHead head_;  // of an answer in parts that has not begun
  bool awaits_prelude_ = false;
  Prelude prelude_;
  std::string held_;  // the body of a whole answer, sent as the window allows
  std::size_t held_sent_ = 0;
  net::Loop::TimerId end_timer_;
};

}  // namespace sterna::native
