// The requests of the Runtime API.
#pragma once

#include <optional>
#include <string>

#include "native/lambda/api_connection.h"
#include "native/lambda/lambda_run.h"

namespace sterna::native {

class RuntimeApi;

// Any request that is answered with an error, when it is whole.
class Refusal final : public ApiRequest {
 public:
  Refusal(ApiConnection& connection, std::uint32_t status, std::string_view type, std::string_view message);
  void on_end() override;

 private:
  ApiConnection& connection_;
  const std::uint32_t status_;
  const std::string body_;
};

// GET invocation/next: answered when there is an invocation.
class NextRequest final : public ApiRequest {
 public:
  NextRequest(RuntimeApi& api, ApiConnection& connection) : api_(api), connection_(connection) {}
  void on_end() override;
  void on_broken() override;

  void give(const LambdaRun& run, std::string_view headers, std::string event);
  // The id of what was given; empty: nothing.
  const std::string& given() const { return given_; }

 private:
  RuntimeApi& api_;
  ApiConnection& connection_;
  std::string given_;
};

// What carries a run's answer or error.
class RunRequest : public ApiRequest, public AnswerCarrier {
 public:
  RunRequest(RuntimeApi& api, ApiConnection& connection, LambdaRun& run);
  ~RunRequest() override;
  void on_broken() override;
  void on_run_over() override;
  void on_room() override { connection_.resume(); }

 protected:
  // Takes the run out, for its end. Null when it is over: the program has been told.
  LambdaRun* take_run();
  void accept();
  void tell_too_large();
  LambdaRun* run() { return run_; }
  const LambdaRun* run() const { return run_; }

 private:
  RuntimeApi& api_;
  ApiConnection& connection_;
  LambdaRun* run_;
};

// POST invocation/{id}/response with the whole answer.
class WholeAnswer final : public RunRequest {
 public:
  // `length`: as far as known.
  WholeAnswer(RuntimeApi& api, ApiConnection& connection, LambdaRun& run,
              std::optional<std::uint64_t> length);
  void on_body(std::string_view part) override;
  void on_end() override;

 private:
  void refuse();

  bool too_large_ = false;
  std::string body_;
};

// The same with Lambda-Runtime-Function-Response-Mode: streaming.
class StreamedAnswer final : public RunRequest {
 public:
  using RunRequest::RunRequest;
  std::size_t room() const override;
  void on_body(std::string_view part) override;
  void on_trailer(const net::Header& field) override;
  void on_end() override;

 private:
  std::string error_type_;
  std::string error_body_;  // base64
};

// POST invocation/{id}/error.
class RunError final : public RunRequest {
 public:
  RunError(RuntimeApi& api, ApiConnection& connection, LambdaRun& run, std::string_view type)
      : RunRequest(api, connection, run), type_(type) {}
  void on_body(std::string_view part) override;
  void on_end() override;

 private:
  const std::string type_;
  std::string body_;
};

// POST init/error.
class InitError final : public ApiRequest {
 public:
  InitError(RuntimeApi& api, ApiConnection& connection, std::string_view type)
      : api_(api), connection_(connection), type_(type) {}
  void on_body(std::string_view part) override;
  void on_end() override;

 private:
  RuntimeApi& api_;
  ApiConnection& connection_;
  const std::string type_;
  std::string body_;
};

}  // namespace sterna::native
