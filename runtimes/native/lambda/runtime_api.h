// The AWS Lambda Runtime API, version 2018-06-01, for the program of one worker: which invocation it gets
// next, and what its requests mean.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/desk.h"
#include "native/lambda/api_connection.h"
#include "native/lambda/event.h"
#include "native/lambda/lambda_run.h"

namespace sterna::native {

struct LambdaFunction {
  EventSource source;
  std::string arn;
  std::chrono::milliseconds timeout{0};
  std::size_t concurrency = 1;
};

class NextRequest;

class RuntimeApi final : public ApiRouter, public LambdaRuns {
 public:
  struct Observer {
    std::function<void()> on_next;  // the program asks for an invocation
    std::function<void(const ReportedError&)> on_init_error;
    std::function<void()> before_answer;  // an answer is whole: what was printed before it is its run's
    std::function<void()> on_idle;        // the last run is over
  };
  RuntimeApi(net::Loop& loop, LambdaFunction function, Observer observer);

  // A call for the program, as soon as it asks.
  std::unique_ptr<Run> start(Exchange& exchange);
  // The program asks for more than it is offered.
  bool is_asked() const;
  // There are runs, and the program has nothing more to do for them: their answers are on their way.
  bool only_sends() const;

  std::unique_ptr<ApiRequest> route(ApiConnection& connection, const net::HttpRequest& head) override;
  void remove(LambdaRun& run) override;

  // What the requests do.
  void on_next(NextRequest& request);
  void on_next_gone(NextRequest& request);
  void on_init_error(const ReportedError& error) { observer_.on_init_error(error); }
  void before_answer() { observer_.before_answer(); }

 private:
  std::unique_ptr<ApiRequest> route_next(ApiConnection& connection);
  std::unique_ptr<ApiRequest> route_answer(ApiConnection& connection, const net::HttpRequest& head,
                                           std::string_view id, std::string_view what);
  LambdaRun* find(std::string_view id, LambdaRun::State state) const;
  std::size_t count(LambdaRun::State state) const;
  std::size_t in_program() const;
  void give();
  void give(LambdaRun& run, NextRequest& request);

  net::Loop& loop_;
  const LambdaFunction function_;
  const Observer observer_;
  bool asked_once_ = false;
  std::vector<LambdaRun*> runs_;  // oldest first
  std::deque<NextRequest*> waiting_;
};

}  // namespace sterna::native
